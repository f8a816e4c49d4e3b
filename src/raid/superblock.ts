/**
 * A member's superblock: what array it belongs to, its slot, the state of every member, and the volume table.
 *
 * Every change of it is a new generation, equal on all active members but for `slot` and the checksum over that.
 * `lineage` is the checksum of the part that is equal, `previous` the lineage of the generation before: two members
 * whose chains do not meet have lived apart, and are never joined.
 */

import { assert } from "../base/assert.ts";
import { layout, raw, text, u8, u16, u32, u64 } from "../base/layout.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import type { Arithmetic } from "../platform/arithmetic.ts";
import type { ArrayLevel } from "./geometry.ts";
import { CHUNK_BLOCKS_MAX, SUPERBLOCK_BLOCKS } from "./member-layout.ts";

export const SUPERBLOCK_BYTES = SUPERBLOCK_BLOCKS * BLOCK_BYTES;
export const FORMAT_VERSION = 2;
export const MEMBERS_MAX = 32;
export const VOLUMES_MAX = 112;
/** UTF-8 bytes of the name of an array, group or volume. */
export const NAME_BYTES_MAX = 64;

const MAGIC = new TextEncoder().encode("ANTIRAID");

export const Header = layout("superblock header", 512, {
  magic: [0, raw(8)],
  version: [8, u16],
  level: [10, u8],
  memberCount: [11, u8],
  slot: [12, u8],
  /** 1 while nothing can be in flight: set by close, cleared before the first write. */
  clean: [13, u8],
  /** 1 from the loss of a member until the stripes in flight then are complete and flushed on the others. */
  unsettled: [14, u8],
  reserved: [15, raw(1)],
  /** CRC32C of the whole superblock, with this field zero. */
  checksum: [16, u32],
  /** CRC32C of the whole superblock, with `slot`, `checksum` and this field zero. */
  lineage: [20, u32],
  previous: [24, u32],
  chunkBlocks: [28, u32],
  generation: [32, u64],
  arrayUuid: [40, raw(16)],
  /** Drawn before the first write after each assembly; the stripe log is valid for this session only. */
  session: [56, raw(16)],
  /** Zones on each member. */
  zones: [72, u64],
  volumeCount: [80, u16],
  reservedCount: [82, raw(6)],
  name: [88, text(64)],
  group: [152, text(64)],
  reservedTail: [216, raw(296)],
});

export const MemberRecord = layout("superblock member", 48, {
  uuid: [0, raw(16)],
  /**
   * 0: missing since `since`; its content is not to be trusted. 1: active, holds every write. 2: being rebuilt; its data
   * blocks below `rebuilt` hold every write, the others are not to be trusted.
   */
  state: [16, u8],
  reserved: [17, raw(7)],
  /** Generation that first had the slot without an active member; 0 while it has one. */
  since: [24, u64],
  /** A whole number of chunks; 0 unless it is being rebuilt. */
  rebuilt: [32, u64],
  reservedTail: [40, raw(8)],
});

/** In the order of their numbers in `MemberRecord.state`. */
const MEMBER_STATES = ["missing", "active", "rebuilding"] as const;

export const VolumeRecord = layout("superblock volume", 128, {
  name: [0, text(64)],
  /** First block in the array's address space. */
  first: [64, u64],
  blocks: [72, u64],
  reserved: [80, raw(48)],
});

const MEMBERS_AT = Header.size;
const VOLUMES_AT = MEMBERS_AT + MEMBERS_MAX * MemberRecord.size;
assert(VOLUMES_AT + VOLUMES_MAX * VolumeRecord.size <= SUPERBLOCK_BYTES, "the superblock holds its tables");

export interface VolumeEntry {
  readonly name: string;
  readonly first: number;
  readonly blocks: number;
}

export interface MemberEntry {
  readonly uuid: Uint8Array;
  readonly state: (typeof MEMBER_STATES)[number];
  readonly since: number;
  readonly rebuilt: number;
}

export interface Superblock {
  readonly level: ArrayLevel;
  readonly slot: number;
  readonly clean: boolean;
  readonly unsettled: boolean;
  /** As read; computed anew by `encodeSuperblock`. */
  readonly lineage: number;
  readonly previous: number;
  readonly chunkBlocks: number;
  readonly generation: number;
  readonly arrayUuid: Uint8Array;
  readonly session: Uint8Array;
  readonly zones: number;
  readonly name: string;
  readonly group: string;
  readonly members: readonly MemberEntry[];
  readonly volumes: readonly VolumeEntry[];
}

/** Fills `into`, which has `SUPERBLOCK_BYTES`. @returns the lineage of this generation */
export function encodeSuperblock(superblock: Superblock, into: Uint8Array, arithmetic: Arithmetic): number {
  assert(into.length === SUPERBLOCK_BYTES, "a superblock has one size");
  assert(superblock.members.length <= MEMBERS_MAX && superblock.volumes.length <= VOLUMES_MAX, "tables fit");
  into.fill(0);
  const view = new DataView(into.buffer, into.byteOffset, into.length);
  Header.magic.set(view, 0, MAGIC);
  Header.version.set(view, 0, FORMAT_VERSION);
  Header.level.set(view, 0, superblock.level);
  Header.memberCount.set(view, 0, superblock.members.length);
  Header.clean.set(view, 0, superblock.clean ? 1 : 0);
  Header.unsettled.set(view, 0, superblock.unsettled ? 1 : 0);
  Header.previous.set(view, 0, superblock.previous);
  Header.chunkBlocks.set(view, 0, superblock.chunkBlocks);
  Header.generation.set(view, 0, superblock.generation);
  Header.arrayUuid.set(view, 0, superblock.arrayUuid);
  Header.session.set(view, 0, superblock.session);
  Header.zones.set(view, 0, superblock.zones);
  Header.volumeCount.set(view, 0, superblock.volumes.length);
  Header.name.set(view, 0, superblock.name);
  Header.group.set(view, 0, superblock.group);
  for (const [slot, member] of superblock.members.entries()) {
    const at = MEMBERS_AT + slot * MemberRecord.size;
    MemberRecord.uuid.set(view, at, member.uuid);
    MemberRecord.state.set(view, at, MEMBER_STATES.indexOf(member.state));
    MemberRecord.since.set(view, at, member.since);
    MemberRecord.rebuilt.set(view, at, member.rebuilt);
  }
  for (const [number, volume] of superblock.volumes.entries()) {
    const at = VOLUMES_AT + number * VolumeRecord.size;
    VolumeRecord.name.set(view, at, volume.name);
    VolumeRecord.first.set(view, at, volume.first);
    VolumeRecord.blocks.set(view, at, volume.blocks);
  }
  const lineage = arithmetic.crc32c(into);
  Header.lineage.set(view, 0, lineage);
  Header.slot.set(view, 0, superblock.slot);
  Header.checksum.set(view, 0, arithmetic.crc32c(into));
  return lineage;
}

/** Whether these bytes start as one of our superblocks does, whatever follows. */
export function looksLikeSuperblock(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, at) => bytes[at] === byte);
}

/** @returns the superblock, or what is wrong with the bytes. They are left as they were. */
export function decodeSuperblock(bytes: Uint8Array, arithmetic: Arithmetic): Superblock | string {
  if (bytes.length < SUPERBLOCK_BYTES) return `superblock cut short: ${bytes.length} bytes`;
  if (!looksLikeSuperblock(bytes)) return "no superblock";
  const copy = bytes.slice(0, SUPERBLOCK_BYTES);
  const view = new DataView(copy.buffer);
  const version = Header.version.get(view, 0);
  if (version !== FORMAT_VERSION) return `superblock of format ${version}, this release reads ${FORMAT_VERSION}`;
  const checksum = Header.checksum.get(view, 0);
  Header.checksum.set(view, 0, 0);
  if (arithmetic.crc32c(copy) !== checksum) return "superblock with a wrong checksum";
  const level = Header.level.get(view, 0);
  const memberCount = Header.memberCount.get(view, 0);
  const volumeCount = Header.volumeCount.get(view, 0);
  const slot = Header.slot.get(view, 0);
  const chunkBlocks = Header.chunkBlocks.get(view, 0);
  const generation = Header.generation.get(view, 0);
  const zones = Header.zones.get(view, 0);
  if (level !== 1 && level !== 5) return `array of level ${level}, which this release does not know`;
  if (memberCount < 1 || memberCount > MEMBERS_MAX || slot >= memberCount) {
    return `superblock of slot ${slot} of ${memberCount}`;
  }
  if (volumeCount > VOLUMES_MAX) return `superblock with ${volumeCount} volumes`;
  if (chunkBlocks < 1 || chunkBlocks > CHUNK_BLOCKS_MAX || (chunkBlocks & (chunkBlocks - 1)) !== 0) {
    return `superblock with a chunk of ${chunkBlocks} blocks`;
  }
  if (Number.isNaN(generation) || Number.isNaN(zones)) return "superblock with numbers out of range";
  const members: MemberEntry[] = [];
  for (let at = MEMBERS_AT; members.length < memberCount; at += MemberRecord.size) {
    const state = MEMBER_STATES[MemberRecord.state.get(view, at)];
    const rebuilt = MemberRecord.rebuilt.get(view, at);
    if (state === undefined || Number.isNaN(rebuilt)) return "superblock with a member out of range";
    const uuid = MemberRecord.uuid.get(view, at).slice();
    members.push({ uuid, state, since: MemberRecord.since.get(view, at), rebuilt });
  }
  const volumes: VolumeEntry[] = [];
  for (let at = VOLUMES_AT; volumes.length < volumeCount; at += VolumeRecord.size) {
    volumes.push({
      name: VolumeRecord.name.get(view, at),
      first: VolumeRecord.first.get(view, at),
      blocks: VolumeRecord.blocks.get(view, at),
    });
  }
  if (volumes.some((volume) => Number.isNaN(volume.first) || Number.isNaN(volume.blocks))) {
    return "superblock with a volume out of range";
  }
  return {
    level,
    slot,
    clean: Header.clean.get(view, 0) === 1,
    unsettled: Header.unsettled.get(view, 0) === 1,
    lineage: Header.lineage.get(view, 0),
    previous: Header.previous.get(view, 0),
    chunkBlocks,
    generation,
    arrayUuid: Header.arrayUuid.get(view, 0).slice(),
    session: Header.session.get(view, 0).slice(),
    zones,
    name: Header.name.get(view, 0),
    group: Header.group.get(view, 0),
    members,
    volumes,
  };
}
