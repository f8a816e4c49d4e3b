/**
 * Names what is on a drive that is not blank, from its first and last 1 MiB, so that creation can say what it refuses to
 * overwrite. It never decides that a drive is blank: any nonzero byte makes it not.
 */

import { BLOCK_BYTES, type Lba, lba } from "../base/units.ts";
import type { Arithmetic } from "../platform/arithmetic.ts";
import type { Drive } from "../platform/drive.ts";
import type { Memory } from "../platform/memory.ts";
import { formatUuid } from "../platform/random.ts";
import { decodeJoinMark } from "./join-mark.ts";
import { HEAD_BLOCKS, SUPERBLOCK_COPIES, TAIL_BLOCKS } from "./member-layout.ts";
import { decodeSuperblock, looksLikeSuperblock, type Superblock } from "./superblock.ts";

interface Signature {
  readonly name: string;
  /** Byte offset; negative ones count from the end of the drive. */
  readonly at: number;
  readonly bytes: string;
}

/** First match wins: what contains others stands first. */
const SIGNATURES: readonly Signature[] = [
  { name: "site's journal", at: 0, bytes: "ANTPJRNL" },
  { name: "GPT partition table", at: 512, bytes: "EFI PART" },
  { name: "GPT partition table", at: 4096, bytes: "EFI PART" },
  { name: "GPT backup partition table", at: -512, bytes: "EFI PART" },
  { name: "GPT backup partition table", at: -4096, bytes: "EFI PART" },
  { name: "md array member (metadata 1.1)", at: 0, bytes: "\xfc\x4e\x2b\xa9" },
  { name: "md array member (metadata 1.2)", at: 4096, bytes: "\xfc\x4e\x2b\xa9" },
  { name: "md array member (metadata 1.0)", at: -8192, bytes: "\xfc\x4e\x2b\xa9" },
  { name: "md array member (metadata 0.90)", at: -65536, bytes: "\xfc\x4e\x2b\xa9" },
  { name: "LVM physical volume", at: 0, bytes: "LABELONE" },
  { name: "LVM physical volume", at: 512, bytes: "LABELONE" },
  { name: "LVM physical volume", at: 1024, bytes: "LABELONE" },
  { name: "LVM physical volume", at: 1536, bytes: "LABELONE" },
  { name: "LUKS volume", at: 0, bytes: "LUKS\xba\xbe" },
  { name: "xfs file system", at: 0, bytes: "XFSB" },
  { name: "btrfs file system", at: 65536 + 64, bytes: "_BHRfS_M" },
  { name: "ext2, ext3 or ext4 file system", at: 1080, bytes: "\x53\xef" },
  { name: "swap space", at: 4086, bytes: "SWAPSPACE2" },
  { name: "NTFS file system", at: 3, bytes: "NTFS    " },
  { name: "FAT file system", at: 82, bytes: "FAT32   " },
  { name: "FAT file system", at: 54, bytes: "FAT16   " },
  { name: "ZFS pool member", at: 131072, bytes: "\x0c\xb1\xba\x00\x00\x00\x00\x00" },
  { name: "MBR partition table", at: 510, bytes: "\x55\xaa" },
];

function matches(signature: Signature, head: Uint8Array, tail: Uint8Array): boolean {
  const [bytes, at] = signature.at < 0 ? [tail, tail.length + signature.at] : [head, signature.at];
  if (at < 0 || at + signature.bytes.length > bytes.length) return false;
  for (let i = 0; i < signature.bytes.length; i++) {
    if (bytes[at + i] !== signature.bytes.charCodeAt(i)) return false;
  }
  return true;
}

/** What the ends of a drive show. */
export interface Sighting {
  readonly blank: boolean;
  /** The newest superblock of ours that is whole. */
  readonly superblock?: Superblock;
  /** UUID of the array that was taking the drive in when it was cut off; only where no superblock is whole. */
  readonly joining?: Uint8Array;
  /** For people: what was seen. */
  readonly what: string;
}

/** Judges the first and last 1 MiB of a drive (the same bytes twice where it has no more). */
export function judge(head: Uint8Array, tail: Uint8Array, arithmetic: Arithmetic): Sighting {
  let newest: Superblock | undefined;
  let damaged: string | undefined;
  let joining: Uint8Array | undefined;
  for (const end of [head, tail]) {
    for (let at = 0; at + BLOCK_BYTES <= end.length; at += BLOCK_BYTES) {
      const bytes = end.subarray(at);
      joining ??= decodeJoinMark(bytes, arithmetic);
      if (!looksLikeSuperblock(bytes)) continue;
      const superblock = decodeSuperblock(bytes, arithmetic);
      if (typeof superblock === "string") damaged = superblock;
      else if (newest === undefined || superblock.generation > newest.generation) newest = superblock;
    }
  }
  if (newest !== undefined) {
    return {
      blank: false,
      superblock: newest,
      what: `a member of array ${newest.name} of group ${newest.group} (slot ${newest.slot})`,
    };
  }
  if (joining !== undefined) {
    return { blank: false, joining, what: `what is left of being added to the array ${formatUuid(joining)}` };
  }
  if (damaged !== undefined) return { blank: false, what: `a damaged ${damaged}` };
  const known = SIGNATURES.find((signature) => matches(signature, head, tail));
  if (known !== undefined) return { blank: false, what: `a ${known.name}` };
  const inHead = firstNonzero(head);
  if (inHead >= 0) return { blank: false, what: `unknown data at byte ${inHead}` };
  const inTail = firstNonzero(tail);
  if (inTail >= 0) return { blank: false, what: `unknown data ${tail.length - inTail} bytes before its end` };
  return { blank: true, what: "nothing" };
}

/** @returns the offset of the first byte that is not zero, or -1. A callback for each byte would take milliseconds. */
function firstNonzero(bytes: Uint8Array): number {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return at;
  return -1;
}

/** Reads both ends of a drive and judges them. Rejects as the drive's reads do. */
export async function look(drive: Drive, memory: Memory, arithmetic: Arithmetic): Promise<Sighting> {
  return judgeEnds(drive, memory, arithmetic, 0, Math.min(HEAD_BLOCKS, drive.blockCount));
}

/** As `look`, but reads no more than the superblock copies where there is one. */
export async function lookForSuperblock(drive: Drive, memory: Memory, arithmetic: Arithmetic): Promise<Sighting> {
  if (drive.blockCount >= HEAD_BLOCKS + TAIL_BLOCKS) {
    const { first, count } = SUPERBLOCK_COPIES;
    const sighting = await judgeEnds(drive, memory, arithmetic, first, count);
    if (sighting.superblock !== undefined) return sighting;
  }
  return look(drive, memory, arithmetic);
}

/** Judges `count` blocks, `skip` blocks into the head and as many into the tail. */
async function judgeEnds(
  drive: Drive,
  memory: Memory,
  arithmetic: Arithmetic,
  skip: number,
  count: number,
): Promise<Sighting> {
  const bytes = count * BLOCK_BYTES;
  const buffer = memory.allocate(2 * bytes);
  try {
    const head = buffer.subarray(0, bytes);
    const tail = buffer.subarray(bytes);
    await readTolerantly(drive, lba(skip), head);
    await readTolerantly(drive, lba(Math.max(0, drive.blockCount - TAIL_BLOCKS) + skip), tail);
    return judge(head, tail, arithmetic);
  } finally {
    memory.free(buffer);
  }
}

/** One bad sector must not hide the copies around it: what cannot be read block by block counts as zeros. */
async function readTolerantly(drive: Drive, first: Lba, into: Uint8Array): Promise<void> {
  try {
    await drive.read(first, into);
    return;
  } catch {
    into.fill(0);
  }
  let readable = 0;
  let cause: unknown;
  for (let at = 0; at < into.length; at += BLOCK_BYTES) {
    const block = into.subarray(at, at + BLOCK_BYTES);
    try {
      await drive.read(lba(first + at / BLOCK_BYTES), block);
      readable++;
    } catch (error) {
      block.fill(0);
      cause = error;
    }
  }
  if (readable === 0) throw cause;
}
