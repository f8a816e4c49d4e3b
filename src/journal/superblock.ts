/**
 * The journal's superblock: who the journal is, and its small durable state.
 *
 * It is kept in eight copies, one block each, at the head of the drive. Update n goes to the two copies of pair n % 4,
 * one after the other, so a crash damages at most one copy, and that of an update which nobody was told is durable. Each
 * carries its number, a checksum of its whole block, and the checksum of the update before it. The highest valid number
 * wins, unless both copies of the pair after it are damaged: then a newer one may be lost, and that is corruption.
 */

import { assert } from "../base/assert.ts";
import { layout, raw, text, u32, u64 } from "../base/layout.ts";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, type Epoch, epoch, lba, type Sequence, sequence } from "../base/units.ts";
import type { Drive } from "../platform/drive.ts";
import { isSameUuid } from "../platform/random.ts";
import type { World } from "../platform/world.ts";

export const SUPERBLOCK_PAIRS = 4;
export const SUPERBLOCK_COPIES = 2 * SUPERBLOCK_PAIRS;
/** Where the ring begins on the drive. */
export const RING_START_BYTES = SUPERBLOCK_COPIES * BLOCK_BYTES;
/** Where a position of the log is on the drive. */
export function driveByte(position: number, ringBytes: number): number {
  return RING_START_BYTES + (position % ringBytes);
}

/** Starts of epochs that are kept, the newest ones. */
export const HISTORY_MAX = 128;
/** Arrays of which a generation is kept, those of which one was kept last. */
export const ARRAYS_MAX = 64;
export const NAME_BYTES_MAX = 64;
export const FORMAT_VERSION = 1;

const MAGIC = new TextEncoder().encode("ANTPJRNL");
const HISTORY_ENTRY_BYTES = 16;
const UUID_BYTES = 16;
const ARRAY_ENTRY_BYTES = UUID_BYTES + 8;

/** The first four fields keep their places in every version, so that a newer one is told from a damaged one. */
export const SuperblockLayout = layout("journal superblock", BLOCK_BYTES, {
  magic: [0, raw(8)],
  /** CRC32C of the whole block with this field zero. */
  crc: [8, u32],
  version: [12, u32],
  /** Which update of the superblock this is; the first is 1. */
  number: [16, u64],
  /** `crc` of the update before this one. */
  previousCrc: [24, u32],
  /** 1 where the journal was closed in order, and nothing is written behind `durablePosition`. */
  closed: [28, u32],
  uuid: [32, raw(16)],
  group: [48, text(NAME_BYTES_MAX)],
  site: [112, text(NAME_BYTES_MAX)],
  driveBlocks: [176, u64],
  ringBytes: [184, u64],
  promised: [192, u64],
  /** The checkpoint: where the batch with the oldest live request starts, and the hash of the batch before it. */
  tailPosition: [200, u64],
  tailHash: [208, u32],
  historyCount: [212, u32],
  retired: [216, u64],
  retiredEpoch: [224, u64],
  /** All that is below this was durable when the superblock was written: damage there is never a torn tail. */
  durablePosition: [232, u64],
  /** The opening (see `Opening`) that may have written behind `openingPosition`. */
  opening: [240, u64],
  openingPosition: [248, u64],
  openingSequence: [256, u64],
  /** HISTORY_MAX entries of epoch and start, 8 bytes each. */
  history: [264, raw(HISTORY_MAX * HISTORY_ENTRY_BYTES)],
  /** ARRAYS_MAX entries of an array's UUID and a generation, 16 and 8 bytes; the unused ones, behind the others, are zeros. */
  arrays: [2312, raw(ARRAYS_MAX * ARRAY_ENTRY_BYTES)],
  reserved: [3848, raw(BLOCK_BYTES - 3848)],
});

/** Where an epoch begins: the sequence of its epoch-start request. */
export interface EpochStart {
  readonly epoch: Epoch;
  readonly start: Sequence;
}

/**
 * A writer's turn at the log. Each time that the journal is opened, and each time that it is cut, a new opening begins,
 * and the superblock says so before the opening's first batch is written. From `position` on, only batches of this
 * opening count; before it, requests after `sequence` are dropped. What a crash or a cut left behind can't come back.
 */
export interface Opening {
  readonly number: number;
  readonly position: number;
  readonly sequence: Sequence;
}

/** A generation that an array of the site had without one of its members, kept for the array. */
export interface KeptGeneration {
  readonly arrayUuid: Uint8Array;
  readonly generation: number;
}

/** Whose a journal is. */
export interface JournalOwner {
  /** The consistency group, and the site of it, by name. */
  readonly group: string;
  readonly site: string;
}

export interface Superblock extends JournalOwner {
  readonly uuid: Uint8Array;
  readonly driveBlocks: number;
  readonly ringBytes: number;
  readonly closed: boolean;
  readonly promised: Epoch;
  readonly tailPosition: number;
  readonly tailHash: number;
  readonly retired: Sequence;
  readonly retiredEpoch: Epoch;
  readonly durablePosition: number;
  readonly opening: Opening;
  /** Epochs that started with a request that is retired; the starts of live ones are in the log. */
  readonly history: readonly EpochStart[];
  readonly arrays: readonly KeptGeneration[];
}

type Arithmetic = Pick<World["arithmetic"], "crc32c">;

/** Writes the superblock into `block`, 4 KiB. @returns its checksum */
export function encodeSuperblock(
  arithmetic: Arithmetic,
  block: Uint8Array,
  number: number,
  previousCrc: number,
  state: Superblock,
): number {
  assert(state.history.length <= HISTORY_MAX, `history of ${state.history.length} epochs`);
  assert(state.arrays.length <= ARRAYS_MAX, `generations of ${state.arrays.length} arrays`);
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_BYTES);
  block.fill(0);
  SuperblockLayout.magic.set(view, 0, MAGIC);
  SuperblockLayout.version.set(view, 0, FORMAT_VERSION);
  SuperblockLayout.number.set(view, 0, number);
  SuperblockLayout.previousCrc.set(view, 0, previousCrc);
  SuperblockLayout.closed.set(view, 0, state.closed ? 1 : 0);
  SuperblockLayout.uuid.set(view, 0, state.uuid);
  SuperblockLayout.group.set(view, 0, state.group);
  SuperblockLayout.site.set(view, 0, state.site);
  SuperblockLayout.driveBlocks.set(view, 0, state.driveBlocks);
  SuperblockLayout.ringBytes.set(view, 0, state.ringBytes);
  SuperblockLayout.promised.set(view, 0, state.promised);
  SuperblockLayout.tailPosition.set(view, 0, state.tailPosition);
  SuperblockLayout.tailHash.set(view, 0, state.tailHash);
  SuperblockLayout.historyCount.set(view, 0, state.history.length);
  SuperblockLayout.retired.set(view, 0, state.retired);
  SuperblockLayout.retiredEpoch.set(view, 0, state.retiredEpoch);
  SuperblockLayout.durablePosition.set(view, 0, state.durablePosition);
  SuperblockLayout.opening.set(view, 0, state.opening.number);
  SuperblockLayout.openingPosition.set(view, 0, state.opening.position);
  SuperblockLayout.openingSequence.set(view, 0, state.opening.sequence);
  state.history.forEach((entry, index) => {
    const at = SuperblockLayout.history.offset + index * HISTORY_ENTRY_BYTES;
    u64.at(0).set(view, at, entry.epoch);
    u64.at(8).set(view, at, entry.start);
  });
  state.arrays.forEach(({ arrayUuid, generation }, index) => {
    const at = SuperblockLayout.arrays.offset + index * ARRAY_ENTRY_BYTES;
    block.set(arrayUuid, at);
    u64.at(UUID_BYTES).set(view, at, generation);
  });
  const crc = arithmetic.crc32c(block);
  SuperblockLayout.crc.set(view, 0, crc);
  return crc;
}

/** What a copy's block holds. `foreign` is anything without the magic, `damaged` fails its checksum or its limits. */
export type SuperblockCopy =
  | { readonly is: "blank" | "foreign" | "damaged" }
  | { readonly is: "newer"; readonly version: number }
  | {
      readonly is: "valid";
      readonly number: number;
      readonly crc: number;
      readonly previousCrc: number;
      readonly state: Superblock;
    };

export function decodeSuperblock(arithmetic: Arithmetic, block: Uint8Array): SuperblockCopy {
  const copy = block.slice(0, BLOCK_BYTES);
  const view = new DataView(copy.buffer);
  if (!SuperblockLayout.magic.get(view, 0).every((byte, at) => byte === MAGIC[at])) {
    return { is: copy.every((byte) => byte === 0) ? "blank" : "foreign" };
  }
  const crc = SuperblockLayout.crc.get(view, 0);
  SuperblockLayout.crc.set(view, 0, 0);
  if (arithmetic.crc32c(copy) !== crc) return { is: "damaged" };
  const version = SuperblockLayout.version.get(view, 0);
  if (version !== FORMAT_VERSION) return { is: "newer", version };

  const historyCount = SuperblockLayout.historyCount.get(view, 0);
  const numbers = {
    number: SuperblockLayout.number.get(view, 0),
    driveBlocks: SuperblockLayout.driveBlocks.get(view, 0),
    ringBytes: SuperblockLayout.ringBytes.get(view, 0),
    promised: SuperblockLayout.promised.get(view, 0),
    tailPosition: SuperblockLayout.tailPosition.get(view, 0),
    retired: SuperblockLayout.retired.get(view, 0),
    retiredEpoch: SuperblockLayout.retiredEpoch.get(view, 0),
    durablePosition: SuperblockLayout.durablePosition.get(view, 0),
    opening: SuperblockLayout.opening.get(view, 0),
    openingPosition: SuperblockLayout.openingPosition.get(view, 0),
    openingSequence: SuperblockLayout.openingSequence.get(view, 0),
  };
  const history: EpochStart[] = [];
  if (historyCount > HISTORY_MAX || Object.values(numbers).some(Number.isNaN)) return { is: "damaged" };
  for (let index = 0; index < historyCount; index++) {
    const at = SuperblockLayout.history.offset + index * HISTORY_ENTRY_BYTES;
    const [of, start] = [u64.at(0).get(view, at), u64.at(8).get(view, at)];
    if (Number.isNaN(of) || Number.isNaN(start)) return { is: "damaged" };
    history.push({ epoch: epoch(of), start: sequence(start) });
  }
  const arrays: KeptGeneration[] = [];
  for (let index = 0; index < ARRAYS_MAX; index++) {
    const at = SuperblockLayout.arrays.offset + index * ARRAY_ENTRY_BYTES;
    const generation = u64.at(UUID_BYTES).get(view, at);
    if (Number.isNaN(generation)) return { is: "damaged" };
    if (generation > 0) arrays.push({ arrayUuid: copy.slice(at, at + UUID_BYTES), generation });
  }
  return {
    is: "valid",
    number: numbers.number,
    crc,
    previousCrc: SuperblockLayout.previousCrc.get(view, 0),
    state: {
      uuid: SuperblockLayout.uuid.get(view, 0).slice(),
      group: SuperblockLayout.group.get(view, 0),
      site: SuperblockLayout.site.get(view, 0),
      driveBlocks: numbers.driveBlocks,
      ringBytes: numbers.ringBytes,
      closed: SuperblockLayout.closed.get(view, 0) === 1,
      promised: epoch(numbers.promised),
      tailPosition: numbers.tailPosition,
      tailHash: SuperblockLayout.tailHash.get(view, 0),
      retired: sequence(numbers.retired),
      retiredEpoch: epoch(numbers.retiredEpoch),
      durablePosition: numbers.durablePosition,
      opening: {
        number: numbers.opening,
        position: numbers.openingPosition,
        sequence: sequence(numbers.openingSequence),
      },
      history,
      arrays,
    },
  };
}

/** Where the next update goes on from. */
export interface Chosen {
  readonly state: Superblock;
  readonly number: number;
  readonly crc: number;
  /** The block that it was read from, and both that are meant to hold it. */
  readonly copy: number;
  readonly pair: readonly [number, number];
}

/**
 * Picks the superblock to open by.
 *
 * @param head the drive's first RING_START_BYTES
 * @throws `journal.blank`, `journal.foreign`, `journal.version`, `journal.group`, `journal.site`, `journal.size` or
 * `journal.corrupt`
 */
export function chooseSuperblock(arithmetic: Arithmetic, drive: Drive, head: Uint8Array, owner: JournalOwner): Chosen {
  const where = `The journal drive ${drive.path}`;
  const copies = Array.from({ length: SUPERBLOCK_COPIES }, (_, index) =>
    decodeSuperblock(arithmetic, head.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES)),
  );
  if (copies.every((copy) => copy.is === "blank")) {
    throw new OperatingError("journal.blank", `${where} is blank.`, "Format it as a journal before it is used.");
  }
  if (copies.every((copy) => copy.is === "blank" || copy.is === "foreign")) {
    throw new OperatingError(
      "journal.foreign",
      `${where} holds something that is not a journal.`,
      "Check that the right drive is configured; format it with overwrite only if its content is not needed.",
    );
  }
  for (const copy of copies) {
    if (copy.is !== "newer") continue;
    throw new OperatingError(
      "journal.version",
      `${where} has format version ${copy.version}; this release knows version ${FORMAT_VERSION}.`,
      "Run the release that wrote it, or drain the journal with that release first.",
    );
  }

  let newest: Extract<SuperblockCopy, { is: "valid" }> | undefined;
  for (const copy of copies) if (copy.is === "valid" && copy.number > (newest?.number ?? 0)) newest = copy;
  const listed = copies.map((copy) => copy.is).join(", ");
  if (newest === undefined) {
    throw corruptSuperblock(drive, `no superblock copy at bytes 0 to ${RING_START_BYTES} is valid (${listed})`);
  }
  const { state, number, crc, previousCrc } = newest;
  const pairAfter = (number + 1) % SUPERBLOCK_PAIRS;
  if (copies[2 * pairAfter].is !== "valid" && copies[2 * pairAfter + 1].is !== "valid") {
    const from = 2 * pairAfter * BLOCK_BYTES;
    throw corruptSuperblock(drive, `both superblock copies at bytes ${from} to ${from + 2 * BLOCK_BYTES} are bad`);
  }
  for (const copy of copies) {
    if (
      copy.is !== "valid" ||
      (copy.number === number - 1 ? copy.crc === previousCrc : sameJournal(copy.state, state))
    ) {
      continue;
    }
    throw corruptSuperblock(drive, `superblock ${number} does not follow superblock ${copy.number}`);
  }

  if (state.group !== owner.group) {
    throw new OperatingError(
      "journal.group",
      `${where} belongs to group '${state.group}', not to '${owner.group}'.`,
      "Check the group's name and the journal's drive in the configuration.",
    );
  }
  if (state.site !== owner.site) {
    throw new OperatingError(
      "journal.site",
      `${where} belongs to site '${state.site}', not to '${owner.site}'.`,
      "Attach the drive with this site's own journal; a site that was renamed needs its old name.",
    );
  }
  if (state.driveBlocks !== drive.blockCount) {
    throw new OperatingError(
      "journal.size",
      `${where} has ${drive.blockCount} blocks; its journal was made for ${state.driveBlocks}.`,
      "Give it back its size, or drain the journal on the drive it was made for and format this one.",
    );
  }
  return { state, number, crc, copy: copies.indexOf(newest), pair: pairOf(number) };
}

/** The blocks that hold the superblock with this number. */
function pairOf(number: number): readonly [number, number] {
  const first = 2 * (number % SUPERBLOCK_PAIRS);
  return [first, first + 1];
}

function sameJournal(one: Superblock, other: Superblock): boolean {
  return isSameUuid(one.uuid, other.uuid);
}

function corruptSuperblock(drive: Drive, what: string): OperatingError {
  return new OperatingError(
    "journal.corrupt",
    `The journal on ${drive.path} is damaged: ${what}; its promised epoch and checkpoint may be lost.`,
    "Nothing was changed. Format the journal and resync this site from another one.",
  );
}

/** Writes updates of the superblock, one at a time. */
export class SuperblockWriter {
  readonly #world: Pick<World, "arithmetic" | "memory">;
  readonly #drive: Drive;
  readonly #block: Uint8Array;
  readonly #snapshot: () => Superblock;
  readonly #onWritten: (state: Superblock) => void;
  readonly #onFailed: (cause: unknown) => void;
  #number: number;
  #crc: number;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /**
   * @param snapshot  asked for the state when an update starts
   * @param onWritten told of the state when it is durable, before those who wait for it
   * @param onFailed  told of a write that failed, before those who wait for it; there may be no update after it
   */
  constructor(
    world: Pick<World, "arithmetic" | "memory">,
    drive: Drive,
    chosen: Pick<Chosen, "number" | "crc">,
    snapshot: () => Superblock,
    onWritten: (state: Superblock) => void,
    onFailed: (cause: unknown) => void,
  ) {
    this.#world = world;
    this.#drive = drive;
    this.#block = world.memory.allocate(BLOCK_BYTES);
    this.#snapshot = snapshot;
    this.#onWritten = onWritten;
    this.#onFailed = onFailed;
    this.#number = chosen.number;
    this.#crc = chosen.crc;
  }

  /** Resolves when a state that was taken after this call is durable; calls that wait together share one update. */
  update(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start();
    this.#next = this.#running.then(() => {
      this.#next = undefined;
      return this.#start();
    });
    return this.#next;
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    while (this.#running !== undefined) await Promise.allSettled([this.#running, this.#next]);
    this.#world.memory.free(this.#block);
  }

  #start(): Promise<void> {
    this.#running = this.#write().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #write(): Promise<void> {
    const state = this.#snapshot();
    const number = this.#number + 1;
    const crc = encodeSuperblock(this.#world.arithmetic, this.#block, number, this.#crc, state);
    try {
      for (const copy of pairOf(number)) await this.#drive.write(lba(copy), this.#block, { fua: true });
    } catch (cause) {
      this.#onFailed(cause);
      throw cause;
    }
    this.#number = number;
    this.#crc = crc;
    this.#onWritten(state);
  }
}

/** Fills the head of a drive with the first superblocks of a new journal. */
export function encodeFirstSuperblocks(arithmetic: Arithmetic, head: Uint8Array, state: Superblock): void {
  let previousCrc = 0;
  for (let number = 1; number <= SUPERBLOCK_PAIRS; number++) {
    const first = pairOf(number)[0] * BLOCK_BYTES;
    const block = head.subarray(first, first + BLOCK_BYTES);
    previousCrc = encodeSuperblock(arithmetic, block, number, previousCrc, state);
    head.copyWithin(first + BLOCK_BYTES, first, first + BLOCK_BYTES);
  }
}
