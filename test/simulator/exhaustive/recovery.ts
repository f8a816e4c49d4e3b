/**
 * One state that a power cut left, and what the product makes of it: it is assembled, what was not flushed is written
 * again whole and in order, and it is closed. On the way and at the end everything is compared with the expectation.
 */

import { isOperatingError } from "../../../src/base/operating-error.ts";
import { BLOCK_BYTES, lba } from "../../../src/base/units.ts";
import type { DiskArray } from "../../../src/raid/disk-array.ts";
import { arrayDrives, assemble, type Bench, bytesOf, machineWith, VOLUME } from "./bench.ts";
import type { CrashMachine, Image } from "./crash-drive.ts";
import { contentOf, type Effect, type Expectation, refusals, versionsOf } from "./expectation.ts";
import { faultOf } from "./media.ts";
import type { Page } from "./page.ts";

export interface Recovered {
  readonly machine: CrashMachine;
  /** Where it was refused, why. */
  readonly refused?: string;
  readonly array?: DiskArray;
  /** What is expected if the power goes after that many events of the machine's trace. */
  readonly stages: readonly { readonly events: number; readonly expectation: Expectation }[];
  /** Blocks that could not be read, or were neither old nor new, before they were written again. */
  readonly doubtful: number;
}

export interface RecoverOptions {
  /** Whether the array is closed in the end; else it stays open. */
  readonly close: boolean;
  readonly life: number;
}

const into = new Uint8Array(64 * BLOCK_BYTES);

/** Throws where anything is not as it must be. */
export function recover(
  bench: Bench,
  image: Image,
  expectation: Expectation,
  present: ReadonlySet<number>,
  options: RecoverOptions,
): Recovered {
  const machine = machineWith(image, options.life);
  const drives = machine.drives.filter((_, drive) => present.has(drive));
  for (const drive of expectation.drives) if (!present.has(drive)) machine.drives[drive].die();
  const { allowed, required } = refusals(expectation, bench.geometry.level, present);
  let array: DiskArray;
  try {
    array = machine.run(assemble(machine, drives));
  } catch (error) {
    if (!isOperatingError(error) || !allowed.has(error.code)) throw error;
    return { machine, refused: error.code, stages: [], doubtful: 0 };
  }
  if (required) throw new Error("assembled from fewer members than it needs");
  // What is wrong with one block is put right before it is looked at: not every such thing shows when it is read. What a
  // write was about to do is done first.
  if (expectation.rotten === true && expectation.pending.length === 0) {
    array.redone();
    const { mismatches, unrepairable } = machine.run(array.scrub());
    if (mismatches > 1 || unrepairable > 0) throw new Error(`scrub finds ${mismatches}, ${unrepairable} beyond repair`);
  }
  const before = leaving(expectation, array);
  const stages = [{ events: 0, expectation: before }];
  const doubtful = readBeforeRedo(bench, machine, array, expectation);
  const content = contentOf(expectation);
  if (expectation.pending.length > 0) {
    machine.run(perform(array, expectation.pending));
    machine.run(flush(array));
  }
  array.redone();
  const after = settled(before, machine, array, content);
  stages.push({ events: machine.trace.length, expectation: after });
  expectContent(bench, machine, array, content);
  const { mismatches } = machine.run(array.check());
  if (mismatches > 0) throw new Error(`check finds ${mismatches} mismatches`);
  const { members } = array.status;
  if (members.some(({ state }) => state === "rebuilding")) throw new Error("the rebuild does not come to its end");
  const slots = after.slots.map(({ drive }, slot) => (members[slot].state === "active" ? drive : undefined));
  const fault = faultOf(bench, machine.image, slots, content);
  if (fault !== undefined) throw new Error(`on the drives: ${fault}`);
  if (options.close) {
    machine.run(array.close());
    stages.push({ events: machine.trace.length, expectation: { ...after, dirty: false } });
  }
  return { machine, array, stages, doubtful };
}

/** What the array holds without one of its members is what it holds with all of them. `image` is clean. */
export function expectDegradedReads(bench: Bench, image: Image, expectation: Expectation, life: number): void {
  const content = contentOf(expectation);
  for (const { drive } of expectation.slots) {
    const machine = machineWith(image, life);
    const others = arrayDrives(machine).filter((_, other) => other !== drive);
    const array = machine.run(assemble(machine, others));
    try {
      expectContent(bench, machine, array, content);
    } catch (error) {
      throw new Error(`without drive ${drive}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
    machine.run(array.close());
  }
}

export async function perform(array: DiskArray, effects: readonly Effect[]): Promise<void> {
  const volume = array.volume(VOLUME);
  if (volume === undefined) throw new Error("the volume is gone");
  for (const { kind, first, pages } of effects) {
    if (kind === "write") await volume.write(lba(first), bytesOf(pages));
    else await volume.unmap(lba(first), pages.length);
  }
}

export async function flush(array: DiskArray): Promise<void> {
  await array.volume(VOLUME)?.flush();
}

/** Throws where the volume is not what it must be. */
export function expectContent(bench: Bench, machine: CrashMachine, array: DiskArray, content: readonly Page[]): void {
  const buffer = into.subarray(0, bench.volumeBlocks * BLOCK_BYTES);
  read(machine, array, 0, buffer);
  for (const [block, page] of content.entries()) {
    if (!holds(buffer.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES), page)) {
      throw new Error(`block ${block} of the volume is not what was written last`);
    }
  }
}

function read(machine: CrashMachine, array: DiskArray, first: number, buffer: Uint8Array): void {
  const volume = array.volume(VOLUME);
  if (volume === undefined) throw new Error("the volume is gone");
  machine.run(Promise.resolve(volume.read(lba(first), buffer)));
}

function holds(bytes: Uint8Array, page: Page): boolean {
  return Buffer.compare(bytes, page.bytes) === 0;
}

/** @returns the blocks that are neither what they were nor what they will be: honest where their write was in flight */
function readBeforeRedo(bench: Bench, machine: CrashMachine, array: DiskArray, expectation: Expectation): number {
  const degraded = array.status.state !== "optimal";
  let doubtful = 0;
  for (let block = 0; block < bench.volumeBlocks; block++) {
    const versions = versionsOf(expectation, block);
    const buffer = into.subarray(0, BLOCK_BYTES);
    try {
      read(machine, array, block, buffer);
    } catch (error) {
      if (versions.length === 1 || !isOperatingError(error, "raid.unreadable")) throw error;
      doubtful++;
      continue;
    }
    if (versions.some((page) => holds(buffer, page))) continue;
    // A missing block is what its row adds up to, and its row may be torn until it is written again.
    if (versions.length === 1 || !degraded || bench.geometry.level === 1) {
      throw new Error(`before the redo block ${block} of the volume is neither old nor new`);
    }
    doubtful++;
  }
  return doubtful;
}

/** The array writes on without the members that it was assembled without. */
function leaving(expectation: Expectation, array: DiskArray): Expectation {
  const { members } = array.status;
  return {
    ...expectation,
    slots: expectation.slots.map((slot, i) =>
      slot.state === "active" && members[i].state !== "active" ? { ...slot, state: "leaving" } : slot,
    ),
  };
}

/** After the redo and its flush. */
function settled(
  expectation: Expectation,
  machine: CrashMachine,
  array: DiskArray,
  content: readonly Page[],
): Expectation {
  const { members } = array.status;
  const written = expectation.pending.length > 0;
  return {
    ...expectation,
    base: content,
    pending: [],
    dirty: expectation.dirty || written || expectation.rotten === true,
    slots: expectation.slots.map((slot, i) => {
      const { state, path } = members[i];
      // Where a drive was being added, it may be the one that was there before.
      if (state === "active") return { drive: machine.drives.findIndex((drive) => drive.path === path), state };
      return written ? { ...slot, state: "lost" } : slot;
    }),
  };
}
