import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { batteryCases } from "../battery.cases.ts";
import type { BatteryReading, BatterySource } from "../battery.ts";
import type { Connection, Listener } from "../network.ts";
import { linuxBatteries } from "./linux-batteries.ts";
import { linuxClock } from "./linux-clock.ts";
import { linuxNetwork } from "./linux-network.ts";

const clock = linuxClock();
const network = linuxNetwork(clock);
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const read = (source: BatterySource, root = "/nowhere") =>
  linuxBatteries(clock, network, root).read(source, new AbortController().signal);

type Shown = Pick<BatteryReading, "state" | "charge">;

/** A folder as the kernel's of power supplies, with a battery in it. */
class Supplies {
  readonly root = mkdtempSync(join(tmpdir(), "antipode-supplies-"));
  readonly #pipes: string[] = [];

  put(name: string, files: Readonly<Record<string, string>>): void {
    const folder = join(this.root, name);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), `${text}\n`);
  }

  /** A driver that does not answer is a file whose reader waits. */
  silence(path: string): void {
    const file = join(this.root, path);
    unlinkSync(file);
    expect(spawnSync("mkfifo", [file]).status).toBe(0);
    this.#pipes.push(file);
  }

  close(): void {
    // Lets go of the threads that wait in it.
    for (const pipe of this.#pipes) openSync(pipe, "r+");
    rmSync(this.root, { recursive: true });
  }
}

batteryCases("of the kernel", async () => {
  const supplies = new Supplies();
  const status = { good: "Charging", discharging: "Discharging", low: "Discharging", failed: "Full" };
  const show = ({ state, charge }: Shown) =>
    supplies.put("BAT0", {
      type: "Battery",
      present: "1",
      status: status[state],
      health: state === "failed" ? "Dead" : "Good",
      capacity_level: state === "low" ? "Low" : "Normal",
      ...(charge === undefined ? {} : { capacity: String(charge) }),
    });
  show({ state: "good", charge: 100 });
  return {
    batteries: linuxBatteries(clock, network, supplies.root),
    source: { kind: "sysfs", name: "BAT0" },
    vacant: { kind: "sysfs", name: "BAT7" },
    now: () => clock.now(),
    run: (pending) => pending,
    show,
    silence: () => supplies.silence("BAT0/status"),
    turn,
    close: async () => supplies.close(),
  };
});

describe("a battery of the kernel", () => {
  let supplies: Supplies;
  const readBattery = (files: Readonly<Record<string, string>>) => {
    supplies.put("BAT0", files);
    return read({ kind: "sysfs", name: "BAT0" }, supplies.root);
  };

  beforeEach(() => {
    supplies = new Supplies();
  });
  afterEach(() => supplies.close());

  it.each([
    ["full, and its driver knows no health", { type: "Battery", status: "Full", health: "Unknown" }, "good"],
    ["a supply's, which tells little", { type: "UPS", status: "Not charging" }, "good"],
    ["taken out", { type: "Battery", status: "Full", present: "0" }, "failed"],
    ["too hot", { type: "Battery", status: "Charging", health: "Overheat" }, "failed"],
    ["nearly empty, though it is charged", { type: "Battery", status: "Charging", capacity_level: "Critical" }, "low"],
  ])("that is %s", async (_, files, state) => {
    expect(await readBattery(files)).toMatchObject({ state, charge: undefined });
  });

  it("has no reading where its driver does not know how it is, or where it is none", async () => {
    const unknown = readBattery({ type: "Battery", status: "Unknown", capacity: "100" });
    await expect(unknown).rejects.toMatchObject({ what: expect.stringContaining("its status is 'Unknown'") });
    const mains = readBattery({ type: "Mains", online: "1" });
    await expect(mains).rejects.toMatchObject({ what: expect.stringContaining("of the type 'Mains'") });
  });

  it("is not asked again while its driver has not answered, since threads are few", async () => {
    supplies.put("BAT0", { type: "Battery", status: "Full" });
    supplies.silence("BAT0/status");
    const batteries = linuxBatteries(clock, network, supplies.root);
    const source = { kind: "sysfs", name: "BAT0" } as const;
    const control = new AbortController();
    const first = batteries.read(source, control.signal);
    control.abort();
    await expect(first).rejects.toMatchObject({ code: "battery.unreadable" });
    const second = batteries.read(source, new AbortController().signal);
    await expect(second).rejects.toMatchObject({ what: expect.stringContaining("the question before") });
  });
});

/** What upsd says of a UPS called `ups`. */
class NutServer {
  /** Variables of the UPS; undefined for a server that says nothing. */
  variables: Readonly<Record<string, string>> | undefined = {};
  /** Said in the place of every answer. */
  instead: string | undefined;
  readonly #listener: Listener;
  readonly #connections = new Set<Connection>();

  private constructor(listener: Listener) {
    this.#listener = listener;
  }

  static async start(): Promise<NutServer> {
    const listener = await network.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
      server.#connections.add(connection);
      let text = "";
      return {
        onData(bytes) {
          text += Buffer.from(bytes).toString();
          const lines = text.split("\n");
          text = lines.pop() ?? "";
          for (const line of lines) connection.write(Buffer.from(server.#answer(line)));
        },
        onDrain() {},
        onClose: () => server.#connections.delete(connection),
      };
    });
    const server = new NutServer(listener);
    return server;
  }

  source(ups = "ups"): BatterySource {
    const { address } = this.#listener;
    return { kind: "nut", ups, host: "127.0.0.1", port: "port" in address ? address.port : 0 };
  }

  close(): void {
    this.#listener.close();
    for (const connection of this.#connections) connection.abort();
  }

  #answer(line: string): string {
    if (this.variables === undefined) return "";
    if (this.instead !== undefined) return this.instead;
    const [, ups, variable] = /^GET VAR (\S+) (\S+)$/.exec(line) ?? [];
    if (ups !== "ups") return "ERR UNKNOWN-UPS\n";
    const value = this.variables[variable];
    return value === undefined ? "ERR VAR-NOT-SUPPORTED\n" : `VAR ${ups} ${variable} "${value}"\n`;
  }
}

batteryCases("of a NUT server", async () => {
  const server = await NutServer.start();
  const status = { good: "OL CHRG", discharging: "OB DISCHRG", low: "OB LB", failed: "OL RB" };
  const show = ({ state, charge }: Shown) => {
    server.variables = {
      "ups.status": status[state],
      ...(charge === undefined ? {} : { "battery.charge": String(charge) }),
    };
  };
  show({ state: "good", charge: 100 });
  return {
    batteries: linuxBatteries(clock, network),
    source: server.source(),
    vacant: server.source("ghost"),
    now: () => clock.now(),
    run: (pending) => pending,
    show,
    silence: () => {
      server.variables = undefined;
    },
    turn,
    close: async () => server.close(),
  };
});

describe("a battery of a NUT server", () => {
  let server: NutServer;
  beforeEach(async () => {
    server = await NutServer.start();
  });
  afterEach(() => server.close());

  it.each([
    ["OL", "good"],
    ["OL BOOST HE", "good"],
    ["FSD OL", "low"],
    ["FSD OB LB", "low"],
    ["OL CAL", "discharging"],
    ["OL BYPASS", "failed"],
    ["ALARM OL RB", "failed"],
  ])("with the status %s is %s", async (status, state) => {
    server.variables = { "ups.status": status, "battery.charge": "87.5" };
    expect(await read(server.source())).toMatchObject({ state, charge: 87.5 });
  });

  it.each([
    ["out of date", "ERR DATA-STALE\n", "out of date"],
    ["without a driver", "ERR DRIVER-NOT-CONNECTED\n", "its driver does not run"],
    ["refused in words that no version of today has", "ERR SLEEPING\n", "its server answers SLEEPING"],
    ["of another protocol", "HTTP/1.1 400 Bad Request\n\n", "no NUT protocol"],
    ["without an end", "x".repeat(5000), "at too great a length"],
  ])("has no reading where the answer is %s", async (_, answer, why) => {
    server.instead = answer;
    await expect(read(server.source())).rejects.toMatchObject({
      code: "battery.unreadable",
      what: expect.stringContaining(why),
    });
  });

  it("has no reading where the status says neither that there is power nor that there is none", async () => {
    server.variables = { "ups.status": "WAIT", "battery.charge": "100" };
    await expect(read(server.source())).rejects.toMatchObject({
      what: expect.stringContaining("its status is 'WAIT'"),
    });
  });

  it("has no reading where its server is gone, or goes while it is asked", async () => {
    const source = server.source();
    server.variables = undefined;
    const asked = read(source);
    await turn();
    server.close();
    await expect(asked).rejects.toMatchObject({ code: "battery.unreadable" });
    await expect(read(source)).rejects.toMatchObject({ what: expect.stringContaining("it refuses connections") });
  });
});
