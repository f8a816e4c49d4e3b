/**
 * Random lives of sessions at each error recovery level: connections come and go, tasks are aborted and reassigned, data is
 * asked for again, as it was or cut anew, and the LUN is taken away and given back meanwhile. However they go, nothing is left behind.
 */

import fc from "fast-check";
import { expect, test } from "vitest";
import { bench, build, Initiator, pattern, read10, text, write10 } from "./testing/initiator.ts";

const RUNS = 100;
const NOBODY = 0xffffffff;
/** More than any session waits to be recovered. */
const LONG_MILLIS = 100_000;
const identity = { vendor: "ANTIPODE", product: "TEST", revision: "1", serial: "s-1", naa: 0x3000000000000001n };

class Life {
  readonly world = bench();
  readonly #first = new Initiator(this.world);
  #live: Initiator[] = [this.#first];
  readonly #tags: number[] = [];
  readonly #r2ts: { on: Initiator; tag: number; transferTag: number; at: number; length: number }[] = [];
  /** The StatSNs of each task's answers. One that comes again has the same. */
  readonly answers = new Map<number, Set<number>>();
  readonly #changes: Promise<void>[] = [];
  #isMasked = false;

  async begin(level: number, taskReporting: string): Promise<this> {
    const keys = ["MaxConnections=3", "InitialR2T=No", "MaxRecvDataSegmentLength=512", "MaxBurstLength=1024"];
    await this.#first.ready(`ErrorRecoveryLevel=${level}`, `TaskReporting=${taskReporting}`, ...keys);
    return this;
  }

  /** @param n which of what there is to choose from */
  async step(kind: number, n: number): Promise<void> {
    const on = this.#live[n % Math.max(this.#live.length, 1)];
    if (on === undefined) await this.#join(0);
    else await this.#steps[kind](on, n);
    await this.#settle();
  }

  readonly #steps: readonly ((on: Initiator, n: number) => unknown)[] = [
    (on, n) => this.#command(on, read10(n % 50, 8), { read: 4096 }),
    (on, n) => this.#command(on, write10(n % 50, 2), { write: 1024, data: pattern(1024) }),
    (on, n) => this.#command(on, write10(n % 50, 4), { write: 2048, data: pattern(512), attribute: 2 }),
    (on, n) => this.#command(on, write10(n % 50, 4), { write: 2048, data: pattern(512), more: true }),
    (_, n) => this.#data(n % 5 === 0 ? 3 : 0),
    () => (this.world.device.held = !this.world.device.held),
    () => this.world.device.gates.shift()?.open(),
    (on) => this.#lose(on),
    (on, n) => this.#join(n % 3 === 0 ? on.cid : n % 4),
    (on, n) => this.#manage(on, 8, n, { 20: this.#tag(n), 36: n % 4 }),
    (on, n) => on.send(build(0x10, { itt: this.#tag(n), words: { 20: NOBODY, 40: n % 3, 44: n % 2 } })),
    (on, n) => this.#manage(on, 1, n, { 20: this.#tag(n), 32: on.cmdSN - 1 }),
    (on, n) => this.#manage(on, n % 3 === 0 ? 6 : 5, n, { 20: NOBODY }),
    (on, n) => on.send(build(0x00, { immediate: true, itt: NOBODY, words: { 20: NOBODY, 24: on.cmdSN, 28: n % 20 } })),
    () => this.#changeUnits(),
    () => this.#changeGrant(),
    (on, n) => on.send(build(0x10, { flags: 0x83, itt: this.#tag(n), words: { 20: n } })),
    (on, n) => on.send(build(0x10, { flags: 0x82, itt: NOBODY, words: { 20: this.#tag(n), 40: n % 9 } })),
    (on, n) => this.#declare(on, 512 << (n % 3)),
  ];

  static readonly KINDS = 19;

  #tag(n: number): number {
    return this.#tags[n % Math.max(this.#tags.length, 1)] ?? 1;
  }

  #command(on: Initiator, ...command: Parameters<Initiator["command"]>): Promise<void> {
    this.#tags.push(on.itt);
    return on.send(on.command(...command));
  }

  #lose(on: Initiator): void {
    this.#live.splice(this.#live.indexOf(on), 1);
    on.connection.onClose();
  }

  async #data(dataSN: number): Promise<void> {
    const r2t = this.#r2ts.shift();
    if (r2t === undefined || !this.#live.includes(r2t.on)) return;
    await r2t.on.send(r2t.on.dataOut(r2t.tag, r2t.transferTag, dataSN, r2t.at, pattern(r2t.length), true));
  }

  #manage(on: Initiator, code: number, n: number, words: Readonly<Record<number, number>>): Promise<void> {
    return on.send(
      build(0x02, { immediate: true, flags: 0x80 | code, itt: 90_000 + n, words: { 24: on.cmdSN, ...words } }),
    );
  }

  #declare(on: Initiator, segmentBytes: number): Promise<void> {
    const data = text(`MaxRecvDataSegmentLength=${segmentBytes}`);
    return on.send(build(0x04, { itt: 80_000, words: { 20: NOBODY, 24: on.cmdSN++ }, data }));
  }

  async #join(cid: number): Promise<void> {
    const next = this.#first.beside(cid);
    const reply = await next.login();
    if (reply?.header.getUint16(36) === 0) this.#live.push(next);
    else next.connection.onClose();
  }

  #changeUnits(): void {
    const { target, device } = this.world;
    if (target.device.unit(0) === undefined) target.addLun({ lun: 0, device, identity });
    else this.#changes.push(target.removeLun(0));
  }

  #changeGrant(): void {
    this.#isMasked = !this.#isMasked;
    const luns = new Map(this.#isMasked ? [] : [[0, 0]]);
    this.#changes.push(this.world.target.changeAccess({ grant: () => ({ luns }) }));
  }

  async #settle(): Promise<void> {
    await this.world.timers.turn();
    for (const one of this.#live) this.#read(one);
    this.#live = this.#live.filter(({ transport }) => transport.closed === "no");
  }

  #read(on: Initiator): void {
    for (const { opcode, flags, header } of on.receive()) {
      const tag = header.getUint32(16);
      if (opcode === 0x21 || (opcode === 0x25 && (flags & 1) !== 0)) {
        this.answers.set(tag, (this.answers.get(tag) ?? new Set()).add(header.getUint32(24)));
      }
      if (opcode === 0x31) {
        const [transferTag, at, length] = [20, 40, 44].map((where) => header.getUint32(where));
        this.#r2ts.push({ on, tag, transferTag, at, length });
      }
    }
  }

  /** Has the device finish, and everybody leave. */
  async end(): Promise<void> {
    const { device, timers } = this.world;
    device.held = false;
    while (device.gates.length > 0) {
      device.gates.shift()?.open();
      await this.#settle();
    }
    for (const one of this.#live) one.connection.onClose();
    timers.advance(LONG_MILLIS);
    await Promise.all(this.#changes);
  }
}

const REPORTING = ["RFC3720", "FastAbort"];

test.each([0, 1, 2].flatMap((level) => REPORTING.map((one) => [level, one] as const)))(
  "at level %i, %s",
  async (level, reporting) => {
    const steps = fc.array(fc.tuple(fc.nat(Life.KINDS - 1), fc.nat(1000)), { minLength: 5, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, async (kinds) => {
        const life = await new Life().begin(level, reporting);
        for (const [kind, n] of kinds) await life.step(kind, n);
        await life.end();
        // What is recovered at level 2 is answered again.
        if (level < 2) expect([...life.answers.values()].every(({ size }) => size === 1)).toBe(true);
        const { server, target, memory } = life.world;
        expect([server.heldSessions, target.statistics().depth]).toEqual([0, 0]);
        await server.close();
        expect(memory.outstanding).toBe(0);
      }),
      { numRuns: RUNS },
    );
  },
);
