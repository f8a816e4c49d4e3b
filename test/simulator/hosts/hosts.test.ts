import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, lba } from "../../../src/base/units.ts";
import { DEADLINE, FULL, IQN, ISCSI_PORT, PRIMARY, SimulatedSystem, type Topology } from "../system.ts";
import { Host, type HostOptions } from "./host.ts";
import { Registers } from "./registers.ts";

/** A system that hosts reach over iSCSI, and the hosts. */
class Bench {
  readonly system: SimulatedSystem;
  readonly registers: Registers;
  readonly hosts: readonly Host[];
  /** What the target must not do. */
  readonly violations: string[] = [];
  /** What sites could not do. */
  readonly failures: string[] = [];
  readonly #options: Omit<HostOptions, "name" | "digests">;

  constructor(seed: number, topology: Topology, options: Partial<HostOptions> = {}) {
    this.system = new SimulatedSystem(seed, topology);
    const blockSize = topology.blockSize ?? 512;
    const region = { blockSize, first: 16, blocks: (96 * BLOCK_BYTES) / blockSize };
    this.registers = new Registers(region);
    this.#options = {
      portals: [{ host: PRIMARY, port: ISCSI_PORT }],
      target: IQN,
      lun: 0,
      ...region,
      large: 0.04,
      depth: 8,
      pause: 10,
      commandTimeout: 8000,
      registers: this.registers,
      mayLose: false,
      onViolation: (text) => this.violations.push(text),
      ...options,
    };
    this.hosts = ["oslo", "paris", "rome"].map((name) => this.host(name));
  }

  host(name: string, options: Partial<HostOptions> = {}): Host {
    return new Host(this.system.universe, { name, digests: name === "oslo", ...this.#options, ...options });
  }

  get universe() {
    return this.system.universe;
  }

  async start(): Promise<void> {
    for (const name of this.system.names) await this.universe.result(this.open(name), { deadline: DEADLINE });
    for (const host of this.hosts) host.start();
  }

  /** Opens a site; a primary serves as soon as it can. */
  async open(name: string): Promise<void> {
    const site = await this.system.open(name);
    site.serve().catch((error) => {
      // What a process that has ended was told is nobody's failure.
      if (this.system.sites.get(name) === site) this.failures.push(`${name}: ${error}`);
    });
  }

  /** Cuts the power of a site now, and gives it back a while later. */
  crash(name: string, downtime: number): void {
    this.system.crash(name);
    this.universe.after(downtime, () => void this.open(name));
  }

  get acknowledged(): number {
    return this.hosts.reduce((sum, { counters }) => sum + counters.acknowledged, 0);
  }

  /** Everything comes to rest, and everything is looked at once more. */
  async end(): Promise<void> {
    await this.universe.result(Promise.all(this.hosts.map((host) => host.stop())), { deadline: DEADLINE });
    await this.universe.result(this.hosts[0].readAll(), { deadline: DEADLINE });
    await this.system.settle();
    for (const name of this.system.names) {
      if (this.system.site(name).storage.volumes.size === 0) continue;
      const wrong = this.registers.checkContent(await this.system.stored(name), name, this.universe.now);
      expect(wrong).toEqual([]);
    }
  }

  expectRight(): void {
    expect(this.violations).toEqual([]);
    expect(this.failures).toEqual([]);
    expect(this.registers.check()).toEqual([]);
  }
}

const SMALL: Topology = { legs: [["boulder"], ["relay-east*", "boston"]] };

describe("hosts of a system", () => {
  for (const blockSize of [512, 4096] as const) {
    it(`are served in peace, in blocks of ${blockSize} bytes`, async () => {
      const bench = new Bench(blockSize, { ...FULL, blockSize });
      await bench.start();
      await bench.universe.advance(3000);
      await bench.end();
      bench.expectRight();
      for (const { counters } of bench.hosts) {
        expect(counters.acknowledged).toBeGreaterThan(200);
        expect(counters.reads).toBeGreaterThan(200);
        expect(counters.digestErrors).toBe(0);
        expect(counters.lost + counters.timeouts).toBe(0);
      }
    });
  }

  it("are two sessions of one machine where they have different ISIDs", async () => {
    const bench = new Bench(3, SMALL);
    const second = bench.host("oslo", { isid: 0x80_00_00_00_00_02 });
    await bench.start();
    second.start();
    await bench.universe.advance(2000);
    await bench.universe.result(second.stop(), { deadline: DEADLINE });
    await bench.end();
    bench.expectRight();
    expect(second.counters.acknowledged).toBeGreaterThan(50);
    expect(second.counters.logins).toBe(1);
    expect(bench.hosts[0].counters.logins).toBe(2);
  });

  it("give the same run for the same seed", async () => {
    const hash = async () => {
      const bench = new Bench(5, SMALL);
      await bench.start();
      await bench.universe.advance(700);
      return bench.universe.traceHash;
    };
    expect(await hash()).toBe(await hash());
  });

  for (let seed = 1; seed <= 6; seed++) {
    it(`see no write lost, back or late, while power, process and network fail: seed ${seed}`, async () => {
      const bench = new Bench(seed, { ...SMALL, blockSize: seed % 2 === 0 ? 512 : 4096 }, { pause: 40 });
      const { universe, system, hosts } = bench;
      const { random } = universe;
      await bench.start();
      for (let round = 0; round < 12; round++) {
        await universe.advance(random.below(2500));
        const host = random.pick(hosts);
        const duration = random.below(6000);
        const heal = (a: string, b: string) => universe.after(duration, () => universe.network.heal(a, b));
        switch (random.below(7)) {
          case 0:
          case 1:
            if (system.sites.has(PRIMARY)) bench.crash(PRIMARY, duration);
            break;
          case 2:
            if (system.sites.has("boulder")) bench.crash("boulder", duration);
            break;
          case 3:
            universe.network.partition(host.name, PRIMARY);
            heal(host.name, PRIMARY);
            break;
          case 4:
            universe.network.partition(PRIMARY, "relay-east");
            heal(PRIMARY, "relay-east");
            break;
          case 5: {
            const machine = universe.machine(PRIMARY);
            if (machine.state !== "running") break;
            machine.pause();
            universe.after(2 * duration, () => machine.resume());
            break;
          }
          case 6: {
            const machine = universe.machine(host.name);
            if (machine.state !== "running") break;
            machine.crash({ peers: random.pick(["close", "half-open"]) });
            host.crashed();
            universe.after(duration, () => {
              machine.restart();
              host.start();
            });
            break;
          }
        }
      }
      await universe.advance(6000);
      universe.network.heal();
      const before = hosts.map(({ counters }) => counters.acknowledged);
      const goesOn = () => hosts.every(({ counters }, at) => counters.acknowledged > before[at] + 20);
      await universe.run(goesOn, { deadline: DEADLINE });
      await bench.end();
      bench.expectRight();
      expect(hosts.some(({ counters }) => counters.logins > 1)).toBe(true);
    });
  }
});

describe("hosts find", () => {
  it("content that changes behind the array's back", async () => {
    const bench = new Bench(11, SMALL);
    await bench.start();
    await bench.universe.advance(500);
    const { universe, system, registers } = bench;
    await universe.result(Promise.all(bench.hosts.map((host) => host.stop())), { deadline: DEADLINE });
    await system.settle();
    const { volumes } = system.primary.storage;
    const block = new Uint8Array(BLOCK_BYTES).fill(7);
    const [volume] = volumes.values();
    await universe.result(volume.write(lba(20), block), { deadline: DEADLINE });
    expect(registers.checkContent(await system.stored(PRIMARY), PRIMARY, universe.now).join()).toMatch(/a mix/);
    expect(registers.checkContent(await system.stored("boulder"), "boulder", universe.now)).toEqual([]);
  });

  it("a bit that changes on the way", async () => {
    const bench = new Bench(13, SMALL);
    await bench.start();
    const { controller } = bench.system;
    const read = controller.read.bind(controller);
    controller.read = async (volume, at, into) => {
      await read(volume, at, into);
      for (let byte = 300; byte < into.length; byte += 512) into[byte] ^= 4;
    };
    await bench.universe.result(bench.hosts[0].readAll(), { deadline: DEADLINE });
    expect(bench.registers.check().join()).toMatch(/oslo read .* a mix/);
  });

  it("a write that is acknowledged and not made", async () => {
    const bench = new Bench(12, SMALL);
    await bench.start();
    const { controller } = bench.system;
    const submit = controller.submit.bind(controller);
    let count = 0;
    controller.submit = (write, signal) => (++count % 50 === 0 ? Promise.resolve() : submit(write, signal));
    await bench.universe.advance(2000);
    expect(bench.registers.check().join()).toMatch(/has replaced it since/);
    expect(bench.violations).toEqual([]);
  });
});
