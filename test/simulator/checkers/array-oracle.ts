/**
 * Reads a disk array straight from its members' media, by docs/array.md, without anything of the array controller but
 * where blocks lie and how a superblock is decoded. Every checksum, mirror and parity of every row that was ever
 * written is computed anew.
 *
 * The members named as damaged count as missing: what they hold is rebuilt from the others.
 */

import { BLOCK_BYTES } from "../../../src/base/units.ts";
import { crc32c } from "../../../src/iscsi/testing/crc32c.ts";
import type { DriveSnapshot } from "../../../src/platform/memory/memory-world.ts";
import { plainArithmetic } from "../../../src/platform/plain-arithmetic.ts";
import { type Geometry, geometryOf } from "../../../src/raid/geometry.ts";
import {
  checksumBlock,
  dataBlock,
  SUPERBLOCK_BLOCKS,
  superblockCopy,
  ZONE_DATA_BLOCKS,
  zoneOf,
} from "../../../src/raid/member-layout.ts";
import { decodeSuperblock, SUPERBLOCK_BYTES, type Superblock } from "../../../src/raid/superblock.ts";

/** A drive that may be a member. */
export interface OracleDrive {
  readonly path: string;
  readonly media: DriveSnapshot;
  /** Whether faults were made on it, so that nothing it holds can be relied on. */
  readonly isDamaged: boolean;
}

interface Member {
  readonly path: string;
  readonly media: DriveSnapshot;
}

const ZEROS = new Uint8Array(BLOCK_BYTES);
const NEVER_WRITTEN = 0;
const UNKNOWN = 1;
const LOST = 2;
const COPIES = (["head", "tail"] as const).flatMap((end) => [0, 1].map((parity) => ({ end, parity })));
/** More faults than this are not told one by one. */
const FAULTS_MAX = 10;

export class ArrayOracle {
  /** What is wrong, in words. */
  readonly faults: string[] = [];
  /** Rows that hold anything. */
  rows = 0;
  readonly #superblock: Superblock | undefined;
  /** By slot; undefined where the member is missing or damaged. */
  readonly #members: (Member | undefined)[] = [];

  constructor(drives: readonly OracleDrive[]) {
    const found = drives.map((drive) => ({ drive, superblock: newestOf(drive.media) }));
    let newest: Superblock | undefined;
    for (const { superblock } of found) {
      if (superblock !== undefined && superblock.generation > (newest?.generation ?? 0)) newest = superblock;
    }
    this.#superblock = newest;
    if (newest === undefined) {
      this.#fault("no drive has a superblock");
      return;
    }
    for (const [slot, { state }] of newest.members.entries()) {
      const active = state === "active";
      const member = found.find(({ superblock }) => superblock?.slot === slot && sameArray(superblock, newest));
      if (active && member !== undefined && !member.drive.isDamaged) this.#join(slot, member.drive, newest);
      else if (active && member === undefined && !drives.some(({ isDamaged }) => isDamaged))
        this.#fault(`slot ${slot} is active, but no drive is its member`);
    }
    const geometry = this.#geometry(newest);
    const missing = newest.members.filter((_, slot) => this.#members[slot] === undefined).length;
    if (missing > geometry.tolerates) this.#fault(`${missing} members are missing or damaged`);
    else this.#checkRows(geometry, newest);
  }

  /** A volume's content as the media have it; undefined where there is no such volume. */
  volume(name: string): Uint8Array | undefined {
    const superblock = this.#superblock;
    const volume = superblock?.volumes.find((each) => each.name === name);
    if (superblock === undefined || volume === undefined) return undefined;
    const geometry = this.#geometry(superblock);
    const content = new Uint8Array(volume.blocks * BLOCK_BYTES);
    for (let block = 0; block < volume.blocks; block++) {
      const at = volume.first + block;
      const stripe = Math.floor(at / geometry.stripeBlocks);
      const within = at % geometry.stripeBlocks;
      const chunk = Math.floor(within / geometry.chunkBlocks);
      const index = stripe * geometry.chunkBlocks + (within % geometry.chunkBlocks);
      content.set(this.#data(geometry, stripe, chunk, index), block * BLOCK_BYTES);
    }
    return content;
  }

  #geometry({ level, members, chunkBlocks }: Superblock): Geometry {
    return geometryOf(level, members.length, chunkBlocks);
  }

  /** Takes a drive in as an active member; both copies of the newest generation must be whole, equal, and its own. */
  #join(slot: number, { path, media }: OracleDrive, newest: Superblock): void {
    const [head, tail] = (["head", "tail"] as const).map((end) =>
      blocksAt(media, superblockCopy(media.blockCount, newest.generation, end), SUPERBLOCK_BLOCKS),
    );
    const own = decodeSuperblock(head, plainArithmetic);
    if (Buffer.compare(head, tail) !== 0) this.#fault(`the superblock copies of ${path} differ`);
    if (typeof own === "string") this.#fault(`${path}: ${own}`);
    else if (own.generation !== newest.generation || own.lineage !== newest.lineage)
      this.#fault(`${path} has generation ${own.generation}, ${newest.generation} is the newest of its array`);
    this.#members[slot] = { path, media };
  }

  #checkRows(geometry: Geometry, { zones, members }: Superblock): void {
    const isWhole = members.every((_, slot) => this.#members[slot] !== undefined);
    for (let zone = 0; zone < zones; zone++) {
      const entries = members.map((_, slot) => this.#entries(slot, zone));
      for (let offset = 0; offset < ZONE_DATA_BLOCKS; offset++) {
        if (entries.every((each) => each === undefined || each[offset] === NEVER_WRITTEN)) continue;
        this.rows++;
        const index = zone * ZONE_DATA_BLOCKS + offset;
        for (const [slot, each] of entries.entries()) {
          if (each !== undefined) this.#checkBlock(geometry, slot, index, each[offset], isWhole);
        }
        if (geometry.parities === 0) this.#checkMirrors(index);
        else if (isWhole) this.#checkParity(index);
      }
    }
  }

  #checkBlock(geometry: Geometry, slot: number, index: number, entry: number, isWhole: boolean): void {
    const member = this.#members[slot];
    if (member === undefined || entry === NEVER_WRITTEN) return;
    const where = `block ${index} of ${member.path}`;
    if (entry === UNKNOWN || entry === LOST) {
      const isParity = geometry.parities > 0 && geometry.parityMember(this.#stripe(geometry, index), 0) === slot;
      if (isWhole || !isParity || entry === LOST) this.#fault(`${where} is ${entry === LOST ? "lost" : "unknown"}`);
      return;
    }
    const crc = crc32c(this.#block(slot, index));
    // CRCs that mean something else are stored from the other end.
    if ((crc > LOST ? crc : 0xffffffff - crc) !== entry) this.#fault(`${where} is not what its checksum says`);
  }

  #checkMirrors(index: number): void {
    const blocks = this.#members.flatMap((member, slot) => (member === undefined ? [] : [this.#block(slot, index)]));
    if (blocks.some((block) => Buffer.compare(block, blocks[0]) !== 0))
      this.#fault(`the mirrors of block ${index} differ`);
  }

  #checkParity(index: number): void {
    const sum = new Uint8Array(BLOCK_BYTES);
    for (const slot of this.#members.keys()) xor(sum, this.#block(slot, index));
    if (Buffer.compare(sum, ZEROS) !== 0) this.#fault(`the parity of row ${index} is not the sum of its data`);
  }

  #data(geometry: Geometry, stripe: number, chunk: number, index: number): Uint8Array {
    for (let copy = 0; copy < geometry.copies; copy++) {
      const slot = geometry.dataMember(stripe, chunk, copy);
      if (this.#members[slot] !== undefined) return this.#block(slot, index);
    }
    const sum = new Uint8Array(BLOCK_BYTES);
    if (geometry.parities > 0) {
      for (const [slot, member] of this.#members.entries()) {
        if (member !== undefined) xor(sum, this.#block(slot, index));
      }
    }
    return sum;
  }

  /** A member's data block; zeros where it was never written, whatever the drive holds. */
  #block(slot: number, index: number): Uint8Array {
    const entry = this.#entries(slot, zoneOf(index))?.[index % ZONE_DATA_BLOCKS] ?? NEVER_WRITTEN;
    if (entry === NEVER_WRITTEN || entry === LOST) return ZEROS;
    return this.#members[slot]?.media.pages.get(dataBlock(index)) ?? ZEROS;
  }

  /** A zone's checksum block. Undefined where the member is missing; it is all zeros where it was never written. */
  #entries(slot: number, zone: number): Uint32Array | undefined {
    const member = this.#members[slot];
    if (member === undefined) return undefined;
    const page = member.media.pages.get(checksumBlock(zone)) ?? ZEROS;
    return new Uint32Array(page.buffer, page.byteOffset, ZONE_DATA_BLOCKS);
  }

  #stripe(geometry: Geometry, index: number): number {
    return Math.floor(index / geometry.chunkBlocks);
  }

  #fault(what: string): void {
    if (this.faults.length < FAULTS_MAX) this.faults.push(what);
  }
}

function newestOf(media: DriveSnapshot): Superblock | undefined {
  let newest: Superblock | undefined;
  for (const { end, parity } of COPIES) {
    const bytes = blocksAt(media, superblockCopy(media.blockCount, parity, end), SUPERBLOCK_BLOCKS);
    const superblock = decodeSuperblock(bytes, plainArithmetic);
    if (typeof superblock !== "string" && superblock.generation > (newest?.generation ?? 0)) newest = superblock;
  }
  return newest;
}

function sameArray(a: Superblock, b: Superblock): boolean {
  return Buffer.compare(a.arrayUuid, b.arrayUuid) === 0;
}

function blocksAt(media: DriveSnapshot, first: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count * BLOCK_BYTES);
  for (let block = 0; block < count; block++) bytes.set(media.pages.get(first + block) ?? ZEROS, block * BLOCK_BYTES);
  return bytes.length === SUPERBLOCK_BYTES ? bytes : bytes.slice(0, SUPERBLOCK_BYTES);
}

function xor(sum: Uint8Array, block: Uint8Array): void {
  for (let at = 0; at < BLOCK_BYTES; at++) sum[at] ^= block[at];
}
