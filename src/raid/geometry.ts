/**
 * Where the blocks of an array lie on its members. Pure arithmetic; no I/O, no state.
 *
 * A stripe is `width` data chunks, each held by `copies` members, and `parities` parity chunks. Every member holds one
 * chunk of every stripe, so a row (the blocks at one offset of a stripe's chunks) is one block on each member. That
 * shape covers levels 0 (one copy, no parity), 1, 5, 6 (two parities) and 10 (two copies); 1 and 5 are built.
 *
 * Addresses: an array's block address counts its data blocks; a member's *index* counts the data blocks of the member,
 * and is `stripe * chunkBlocks + row` for every member.
 */

import { AssertionError, assert } from "../base/assert.ts";

export type ArrayLevel = 1 | 5;

export interface Geometry {
  readonly level: ArrayLevel;
  readonly members: number;
  readonly chunkBlocks: number;
  /** Data chunks of a stripe. */
  readonly width: number;
  /** Members that hold each data chunk. */
  readonly copies: number;
  /** Parity chunks of a stripe. */
  readonly parities: number;
  /** Data blocks of a stripe: `width * chunkBlocks`. */
  readonly stripeBlocks: number;
  /** Members that can be missing without loss, whichever they are. */
  readonly tolerates: number;
  /** The member that holds a copy of a stripe's data chunk. */
  dataMember(stripe: number, chunk: number, copy: number): number;
  /** The member that holds a parity chunk of a stripe. */
  parityMember(stripe: number, parity: number): number;
}

/** A range of rows of one stripe, `last` excluded. */
export interface Rows {
  readonly first: number;
  readonly last: number;
}

/** Members that an array has at the least. */
export const MEMBERS_MIN: Readonly<Record<ArrayLevel, number>> = { 1: 1, 5: 3 };

export function geometryOf(level: ArrayLevel, members: number, chunkBlocks: number): Geometry {
  assert(members >= MEMBERS_MIN[level], `level ${level} of ${members} members`);
  return level === 1 ? levelOne(members, chunkBlocks) : levelFive(members, chunkBlocks);
}

function levelOne(members: number, chunkBlocks: number): Geometry {
  return {
    level: 1,
    members,
    chunkBlocks,
    width: 1,
    copies: members,
    parities: 0,
    stripeBlocks: chunkBlocks,
    tolerates: members - 1,
    dataMember: (_stripe, _chunk, copy) => copy,
    parityMember: () => {
      throw new AssertionError("level 1 has no parity");
    },
  };
}

/** Left-symmetric: parity moves one member to the left each stripe, data starts right of it and wraps round. */
function levelFive(members: number, chunkBlocks: number): Geometry {
  const parityMember = (stripe: number): number => members - 1 - (stripe % members);
  return {
    level: 5,
    members,
    chunkBlocks,
    width: members - 1,
    copies: 1,
    parities: 1,
    stripeBlocks: (members - 1) * chunkBlocks,
    tolerates: 1,
    dataMember: (stripe, chunk) => (parityMember(stripe) + 1 + chunk) % members,
    parityMember,
  };
}

/** The data chunk that a member holds of a stripe, or -1 where it holds parity. */
export function chunkOf(geometry: Geometry, stripe: number, member: number): number {
  for (let chunk = 0; chunk < geometry.width; chunk++) {
    for (let copy = 0; copy < geometry.copies; copy++) {
      if (geometry.dataMember(stripe, chunk, copy) === member) return chunk;
    }
  }
  return -1;
}

/** First row of `chunk` inside `rows` that a write of the stripe's blocks `[from, to)` covers; see `coveredTo`. */
export function coveredFrom(geometry: Geometry, chunk: number, from: number, rows: Rows): number {
  return Math.min(Math.max(from - chunk * geometry.chunkBlocks, rows.first), rows.last);
}

/** End of the rows of `chunk` that the write covers. Nothing is covered where it is not above `coveredFrom`. */
export function coveredTo(geometry: Geometry, chunk: number, to: number, rows: Rows): number {
  return Math.min(Math.max(to - chunk * geometry.chunkBlocks, rows.first), rows.last);
}

/**
 * The rows that a write of the stripe's blocks `[from, to)` touches, as ranges that do not meet: two only where it
 * covers the end of one chunk and the start of the next, with untouched rows between.
 */
export function touchedRows(geometry: Geometry, from: number, to: number): Rows[] {
  assert(from >= 0 && from < to && to <= geometry.stripeBlocks, `blocks ${from} to ${to} of a stripe`);
  const size = geometry.chunkBlocks;
  const firstChunk = Math.floor(from / size);
  const lastChunk = Math.floor((to - 1) / size);
  const start = from - firstChunk * size;
  const end = to - lastChunk * size;
  if (firstChunk === lastChunk) return [{ first: start, last: end }];
  if (lastChunk === firstChunk + 1 && end < start) {
    return [
      { first: 0, last: end },
      { first: start, last: size },
    ];
  }
  return [{ first: 0, last: size }];
}
