import { describe, expect, it } from "vitest";
import { PIECE_BYTES_MAX } from "../limits.ts";
import { pattern, same } from "../testing/initiator.ts";
import { AtomicLog, DATA_OFFSET, type LogFile, type LoggedVolume } from "./atomic-log.ts";
import { ShorterFile } from "./plain-file.ts";

const SECTOR = 512;
const BLOCKS = 16;
/** Of an atomic write: two writes to the log and a sync, the same in place with one write, and the same to clear the log. */
const STEPS = 7;
const failure = Object.assign(new Error("gone"), { code: "EIO" });

/** Counts what is asked of the disks, and fails it, or has the power cut, when its turn comes. */
class Faults {
  steps = 0;
  readonly names: string[] = [];
  failing: (step: number, name: string) => boolean = () => false;

  step(name: string): void {
    this.names.push(name);
    if (this.failing(this.steps++, name)) throw failure;
  }
}

/**
 * A file as the kernel has it: of what was not synced, a power cut leaves any sectors; what it could not write it takes for
 * written, and does not try again.
 */
class Disk implements LogFile {
  /** What is read. */
  content: Uint8Array;
  durable: Uint8Array;
  readonly #name: string;
  readonly #faults: Faults;
  readonly #dirty = new Set<number>();

  constructor(content: Uint8Array, name: string, faults: Faults) {
    this.content = content;
    this.durable = content.slice();
    this.#name = name;
    this.#faults = faults;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    if (offset + into.length > this.content.length) throw new ShorterFile();
    into.set(this.content.subarray(offset, offset + into.length));
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    // One that fails may have got anywhere.
    this.content.set(from, offset);
    for (let at = offset; at < offset + from.length; at += SECTOR) this.#dirty.add(at / SECTOR);
    this.#faults.step(`write ${this.#name} ${offset}+${from.length}`);
  }

  async sync(): Promise<void> {
    try {
      this.#faults.step(`sync ${this.#name}`);
      this.durable = this.cut(() => true);
    } finally {
      this.#dirty.clear();
    }
  }

  /** What another process sees of it. */
  again(faults: Faults): Disk {
    const next = new Disk(this.content.slice(), this.#name, faults);
    next.durable = this.durable.slice();
    for (const sector of this.#dirty) next.#dirty.add(sector);
    return next;
  }

  /** @param keeps whether the sector of what was not synced is on the disk */
  cut(keeps: (sector: number) => boolean): Uint8Array {
    const left = this.durable.slice();
    for (const sector of this.#dirty) {
      const at = sector * SECTOR;
      if (keeps(sector)) left.set(this.content.subarray(at, at + SECTOR), at);
    }
    return left;
  }

  async close(): Promise<void> {}
}

class Machine implements LoggedVolume {
  readonly blockCount = BLOCKS;
  readonly blockSize: number;
  readonly faults = new Faults();
  log: Disk;
  disk: Disk;

  constructor(blockSize: number, volume?: Uint8Array, log?: Uint8Array) {
    this.blockSize = blockSize;
    this.disk = new Disk(volume ?? pattern(BLOCKS * blockSize, 1), "volume", this.faults);
    this.log = new Disk(log ?? empty(blockSize), "log", this.faults);
  }

  async place(lba: number, data: Uint8Array): Promise<void> {
    await this.disk.write(lba * this.blockSize, data);
    await this.disk.sync();
  }

  async close(): Promise<void> {}

  async open(): Promise<AtomicLog> {
    const log = await AtomicLog.over(this.log, "LOG", this);
    this.faults.steps = 0;
    this.faults.names.length = 0;
    return log;
  }

  /** Another process on the same machine. */
  again(): Machine {
    const next = new Machine(this.blockSize);
    next.log = this.log.again(next.faults);
    next.disk = this.disk.again(next.faults);
    return next;
  }

  /** Another machine with what a power cut leaves of this one. */
  cut(keeps: (sector: number) => boolean): Machine {
    return new Machine(this.blockSize, this.disk.cut(keeps), this.log.cut(keeps));
  }

  holds(lba: number, data: Uint8Array): boolean {
    const at = lba * this.blockSize;
    const { content, durable } = this.disk;
    return [content, durable].every((bytes) => same(bytes.subarray(at, at + data.length), data));
  }
}

/** A log that holds nothing, as version 1 has it. */
function empty(blockSize: number, blockCount = BLOCKS): Uint8Array {
  const bytes = new Uint8Array(DATA_OFFSET + 16 * 4096);
  bytes.set(Buffer.from("WRATOMIC"));
  const view = new DataView(bytes.buffer);
  view.setUint32(8, 1);
  view.setUint32(12, blockSize);
  view.setBigUint64(16, BigInt(blockCount));
  return bytes;
}

/** Which sectors a power cut leaves, differently for each seed, the two extremes included. */
function someSectors(seed: number): (sector: number) => boolean {
  if (seed < 2) return () => seed === 1;
  return (sector) => Math.imul(sector + 1, Math.imul(seed, 0x9e3779b1) | 1) >>> 31 === 1;
}

/**
 * Opens what is left of a machine: the write is whole there, or what was before it is, and what is written afterwards stays
 * through another power cut. @returns whether it is there
 */
async function settles(machine: Machine, lba: number, data: Uint8Array, before: Uint8Array): Promise<boolean> {
  await machine.open();
  const isNew = machine.holds(lba, data);
  expect(isNew || machine.holds(lba, before)).toBe(true);
  const later = before.slice().fill(9);
  await machine.place(lba, later);
  for (const seed of [0, 1, 2]) {
    const left = machine.cut(someSectors(seed));
    await left.open();
    expect(left.holds(lba, later)).toBe(true);
  }
  return isNew;
}

/** @returns a machine whose log holds the write, and its volume nothing of it */
async function withPending(blockSize: number, lba: number, data: Uint8Array): Promise<Machine> {
  const machine = new Machine(blockSize);
  const log = await machine.open();
  machine.faults.failing = (_, name) => name.startsWith("write volume");
  await expect(log.write(lba, data)).rejects.toMatchObject({ code: "atomic-log.stuck" });
  return new Machine(blockSize, new Machine(blockSize).disk.durable, machine.log.durable);
}

describe.each([512, 4096])("an atomic write of blocks of %d bytes", (blockSize) => {
  const [lba, blocks] = [3, 5];
  const before = pattern(BLOCKS * blockSize, 1).subarray(lba * blockSize, (lba + blocks) * blockSize);
  const after = pattern(BLOCKS * blockSize, 1).subarray((lba + blocks) * blockSize);
  const data = pattern(blocks * blockSize, 7);

  it("is durably in the log before it is in place, and out of it before it is done", async () => {
    const machine = new Machine(blockSize);
    const log = await machine.open();
    expect(machine.faults.names).toEqual([]);
    await log.write(lba, data);
    expect(machine.faults.names).toEqual([
      "write log 0+512",
      `write log ${DATA_OFFSET}+${data.length}`,
      "sync log",
      `write volume ${lba * blockSize}+${data.length}`,
      "sync volume",
      "write log 0+512",
      "sync log",
    ]);
    expect(machine.holds(lba, data)).toBe(true);
    expect(machine.log.durable.subarray(0, DATA_OFFSET)).toEqual(empty(blockSize).subarray(0, DATA_OFFSET));
  });

  it("is whole or not there after a power cut at every step, whatever the disks kept, also in the replay", async () => {
    const outcomes = new Set<string>();
    for (let step = 0; step <= STEPS; step++) {
      for (let seed = 0; seed < 24; seed++) {
        const machine = new Machine(blockSize);
        const log = await machine.open();
        let left: Machine | undefined;
        machine.faults.failing = (at) => {
          if (at === step) left = machine.cut(someSectors(seed));
          return false;
        };
        await log.write(lba, data);
        left ??= machine.cut(someSectors(seed));
        // The first replay comes to a power cut as well, at each of its steps in turn.
        let replayed: Machine | undefined;
        left.faults.failing = (at) => {
          if (at === seed % STEPS) replayed ??= left?.cut(someSectors(seed + 1));
          return false;
        };
        for (const each of [left, replayed]) {
          if (each === undefined) continue;
          outcomes.add(`${step} ${(await settles(each, lba, data, before)) ? "new" : "old"}`);
          expect(each.holds(lba + blocks, after)).toBe(true);
        }
      }
    }
    const either = ["1 new", "1 old", "2 new", "2 old"];
    expect([...outcomes].sort()).toEqual(["0 old", ...either, "3 new", "4 new", "5 new", "6 new", "7 new"]);
  });

  it("is whole or not there where the process ends at any step, and the power is cut later", async () => {
    const outcomes = new Set<string>();
    for (let step = 0; step <= STEPS; step++) {
      // The power is cut at some step of the replay, or after it.
      for (let later = 0; later <= STEPS; later++) {
        for (let seed = 0; seed < 4; seed++) {
          const machine = new Machine(blockSize);
          const log = await machine.open();
          let next: Machine | undefined;
          machine.faults.failing = (at) => {
            if (at === step) next = machine.again();
            return false;
          };
          await log.write(lba, data);
          next ??= machine.again();
          let left: Machine | undefined;
          next.faults.failing = (at) => {
            if (at === later) left ??= next?.cut(someSectors(seed));
            return false;
          };
          const isNew = await settles(next, lba, data, before);
          outcomes.add(`${step} ${isNew ? "new" : "old"}`);
          if (left !== undefined) await settles(left, lba, data, before);
        }
      }
    }
    expect([...outcomes].sort()).toEqual(["0 old", ...[1, 2, 3, 4, 5, 6, 7].map((step) => `${step} new`)]);
  });

  it("is not taken for whole where any of its sectors is not in the log, and never becomes so", async () => {
    const whole = (await withPending(blockSize, lba, data)).log.durable;
    const sectors = [0, ...Array.from({ length: data.length / SECTOR }, (_, at) => DATA_OFFSET / SECTOR + at)];
    for (const cut of sectors) {
      const states = [
        (sector: number) => sector < cut,
        (sector: number) => sector > cut,
        (sector: number) => sector !== cut,
      ];
      for (const keeps of states) {
        const torn = new Disk(empty(blockSize), "log", new Faults());
        torn.content = whole.slice();
        const machine = new Machine(blockSize, undefined, torn.cut(keeps));
        await machine.open();
        expect(machine.holds(lba, before)).toBe(true);
        // The same data comes once more, for other blocks: it must not complete what was torn.
        machine.log.durable.set(data, DATA_OFFSET);
        const later = new Machine(blockSize, machine.disk.durable, machine.log.durable);
        await later.open();
        expect(later.holds(lba, before)).toBe(true);
      }
    }
  });

  it("is in place after a replay, twice and thrice the same, and later writes stay", async () => {
    const machine = await withPending(blockSize, lba, data);
    await machine.open();
    expect(machine.holds(lba, data)).toBe(true);
    await machine.place(lba + 1, pattern(blockSize, 9));
    const content = machine.disk.durable.slice();
    for (let times = 0; times < 2; times++) await machine.open();
    expect(same(machine.disk.durable, content)).toBe(true);
  });
});

describe("a failure", () => {
  const [lba, data] = [3, pattern(5 * 512, 7)];
  const before = pattern(BLOCKS * 512, 1).subarray(lba * 512, lba * 512 + data.length);

  it.each([0, 1, 2])("of the log (step %d) leaves the blocks as they are and the log usable", async (step) => {
    const machine = new Machine(512);
    const log = await machine.open();
    machine.faults.failing = (at) => at === step;
    const error = await log.write(lba, data).catch((error) => error);
    expect(error).toMatchObject({ code: "atomic-log.unwritten", cause: failure });
    expect(error.message).toBe("LOG could not take a write of 5 blocks from 3 on");
    expect(log.stuck).toBeUndefined();
    // Nothing of it comes back, whatever is kept of the log, over what is written now.
    const later = before.slice().fill(9);
    await machine.place(lba, later);
    for (let seed = 0; seed < 4; seed++) {
      const left = machine.cut(someSectors(seed));
      await left.open();
      expect(left.holds(lba, later)).toBe(true);
    }
    await log.write(lba, data);
    expect(machine.holds(lba, data)).toBe(true);
  });

  it.each([
    ["of the log for good", (at: number) => at >= 2],
    ["in place", (at: number) => at === 3],
    ["of what makes it durable in place", (at: number) => at === 4],
    ["of the log's clearing", (at: number) => at === 5],
    ["of what makes the clearing durable", (at: number) => at === 6],
  ])("%s: nothing more is written, and the blocks are whole once the log is opened again", async (_, failing) => {
    const machine = new Machine(512);
    const log = await machine.open();
    machine.faults.failing = failing;
    const error = await log.write(lba, data).catch((error) => error);
    expect(error).toMatchObject({ code: "atomic-log.stuck", cause: failure });
    expect(error.message).toContain("a write of 5 blocks from 3 on failed and may still be in LOG");
    expect(log.stuck).toBe(error);
    machine.faults.failing = () => false;
    const steps = machine.faults.steps;
    await expect(log.write(0, data)).rejects.toBe(error);
    expect(machine.faults.steps).toBe(steps);
    await settles(machine.again(), lba, data, before);
    for (let seed = 0; seed < 24; seed++) await settles(machine.cut(someSectors(seed)), lba, data, before);
  });

  const unreplayed = "the write of 5 blocks from 3 on in LOG could not be replayed; it is still there";
  it.each([
    ...[0, 1, 2, 3, 4].map((step) => [step, "atomic-log.unreplayed", unreplayed] as const),
    ...[5, 6].map((step) => [step, "atomic-log.unwritten", "LOG could not be written"] as const),
  ])("of a replay (step %d) is said, and the next one is whole", async (step, code, message) => {
    const machine = await withPending(512, lba, data);
    machine.faults.failing = (at) => at === step;
    const error = await machine.open().catch((error) => error);
    expect(error).toMatchObject({ code, cause: failure });
    expect(error.message).toBe(message);
    for (let seed = 0; seed < 8; seed++)
      expect(await settles(machine.cut(someSectors(seed)), lba, data, before)).toBe(true);
    expect(await settles(machine.again(), lba, data, before)).toBe(true);
  });
});

it("writes one after the other, up to its bound", async () => {
  const machine = new Machine(512);
  const log = await machine.open();
  await Promise.all([log.write(0, pattern(512, 2)), log.write(0, pattern(1024, 3)), log.write(1, pattern(512, 4))]);
  const each = (data: string, place: string) => [
    ...["write log 0+512", `write log 4096+${data}`, "sync log"],
    ...[`write volume ${place}`, "sync volume", "write log 0+512", "sync log"],
  ];
  const all = [...each("512", "0+512"), ...each("1024", "0+1024"), ...each("512", "512+512")];
  expect(machine.faults.names).toEqual(all);
  await expect(log.write(0, new Uint8Array(PIECE_BYTES_MAX + 512))).rejects.toThrow(RangeError);
  expect(machine.faults.names).toEqual(all);
});

it("reads what version 1 wrote", async () => {
  const bytes = empty(512, 2);
  new DataView(bytes.buffer).setBigUint64(24, 1n);
  new DataView(bytes.buffer).setUint32(32, 1);
  bytes.set(Buffer.from("8b3abfee1a451f1d2e1c15e2e072922d33ade78f0694f4b5e558e5cbbbc42beb", "hex"), 40);
  bytes.fill(0x5a, DATA_OFFSET, DATA_OFFSET + 512);
  const placed: unknown[] = [];
  const volume = {
    blockSize: 512,
    blockCount: 2,
    place: async (lba: number, data: Uint8Array) => void placed.push(lba, data),
    close: async () => {},
  };
  await AtomicLog.over(new Disk(bytes, "log", new Faults()), "LOG", volume);
  expect(placed).toEqual([1, new Uint8Array(512).fill(0x5a)]);
});

describe("a log", () => {
  const at = async (log: Uint8Array, code: string, message: string) => {
    const machine = new Machine(512, undefined, log);
    const error = await machine.open().catch((error) => error);
    expect(error).toMatchObject({ code });
    expect(error.message).toBe(message);
    expect(machine.faults.names).toEqual([]);
  };

  it("of another file is refused, with what it holds, and left as it is", async () => {
    const where = "LOG is the log of 16 blocks of 4096 bytes, and here are 16 of 512; it holds";
    await at(empty(4096), "atomic-log.foreign", `${where} no write, and is left as it is`);
    const { log } = await withPending(4096, 3, pattern(4096, 7));
    await at(log.durable, "atomic-log.foreign", `${where} a write of 1 block from 3 on, and is left as it is`);
    await at(
      empty(512, 17),
      "atomic-log.foreign",
      "LOG is the log of 17 blocks of 512 bytes, and here are 16 of 512; it holds no write, and is left as it is",
    );
  });

  it("of another file is refused whatever it says that it holds", async () => {
    const larger = empty(512, 2 ** 40);
    new DataView(larger.buffer).setUint32(32, 0xffffffff);
    const machine = new Machine(512, undefined, larger);
    await expect(machine.open()).rejects.toThrow("here are 16 of 512; it holds no write");
  });

  it("of another version is refused, and left as it is", async () => {
    const newer = empty(512);
    newer[11] = 2;
    await at(newer, "atomic-log.version", "LOG is a log of version 2, and only 1 is known here; it is left as it is");
  });

  it("that is something else is refused, and left as it is", async () => {
    const said = "LOG is no log of atomic writes; it is left as it is";
    for (const bytes of [0, 511, 512, 8192]) await at(new Uint8Array(bytes), "atomic-log.unknown", said);
    await at(pattern(8192, 3), "atomic-log.unknown", said);
  });

  it("holds no write of more than there can be, or of blocks that there are not", async () => {
    const larger = empty(512);
    new DataView(larger.buffer).setUint32(32, 0xffffffff);
    const outside = await withPending(512, BLOCKS - 1, pattern(1024, 7));
    for (const log of [larger, outside.log.durable]) {
      const machine = new Machine(512, undefined, log);
      await machine.open();
      expect(machine.holds(0, pattern(BLOCKS * 512, 1))).toBe(true);
      expect(same(machine.log.durable.subarray(0, DATA_OFFSET), empty(512).subarray(0, DATA_OFFSET))).toBe(true);
    }
  });

  it("that was cut shorter holds no write that it has not all of", async () => {
    const { log } = await withPending(512, 3, pattern(1024, 7));
    const machine = new Machine(512, undefined, log.durable.slice(0, DATA_OFFSET + 1023));
    await machine.open();
    expect(machine.holds(0, pattern(BLOCKS * 512, 1))).toBe(true);
  });
});
