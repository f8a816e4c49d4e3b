/**
 * Which sequences are looked at, and how closely.
 *
 * Arrays: level 5 of 3+1 and level 1 of a pair, chunks of two blocks, a volume of two stripes. Sequences of one to three
 * operations, from an array that is whole and from one that lacks a member; requests are carried out in the order
 * they were given, or the other way round. The power goes before and after every request of the last operation, and
 * then at every request of the recovery from that.
 *
 * Complete in every run: single operations, with every subset of the blocks in doubt; but for the one in which hosts write
 * during a rebuild, which is bounded as the next kind.
 *
 * Bounded in the short run, which is that of `npm test`, so that it proves less than the list of sequences promises; in
 * brackets how far ANTIPODE_LONG=1 goes:
 * - single operations in which a drive fails with one of its requests, and sequences of two: every subset where there
 *   are few (16, or 4096); else all, none, each set of drives, some by lot, and in the long run each block alone there
 *   or missing, and all that was given up to each;
 * - sequences of three: of fewer operations and starts in the short run; every subset where there are 4 (64), else as
 *   above;
 * - the order in which requests are carried out alternates from one sequence to the next (both), but for the first kind;
 * - the second power cut: in the recovery from one of so many states, see the depths below, with all, none, each block
 *   alone there or missing, and each set of drives.
 * Bounded in every run: blocks that are torn are one alone, those of one drive or all, their first sectors new, with
 * all or none of the others; a member is lost together with the power where all or none of what was in doubt is kept; no
 * sequence is longer than three, and no two operations are under way at once but writes and a rebuild. The counts of every run are printed.
 */

import type { ArrayLevel } from "../../../src/raid/geometry.ts";
import type { Bench } from "./bench.ts";
import type { Order } from "./crash-drive.ts";
import { type Depth, Explorer } from "./explorer.ts";
import type { Operation, Start } from "./operations.ts";
import { degraded, rotten, unwritten, whole } from "./starts.ts";

const LONG = process.env.ANTIPODE_LONG === "1";

const SINGLE: Depth = { subsets: 4096, selection: "blocks", drawn: 0, torn: true, nestedEvery: LONG ? 1 : 128 };
const PAIR: Depth = LONG
  ? { subsets: 4096, selection: "blocks", drawn: 100, torn: true, nestedEvery: 16 }
  : { subsets: 16, selection: "drives", drawn: 3, torn: false, nestedEvery: 512 };
const TRIPLE: Depth = LONG
  ? { subsets: 64, selection: "blocks", drawn: 10, torn: true, nestedEvery: 256 }
  : { subsets: 4, selection: "drives", drawn: 0, torn: false, nestedEvery: 0 };

const flush: Operation = { kind: "flush", name: "flush" };
const scrub: Operation = { kind: "scrub", name: "scrub" };
const power: readonly Operation[] = [
  { kind: "power", name: "power cut, nothing kept", kept: "all dropped" },
  { kind: "power", name: "power cut, all kept", kept: "all kept" },
];
const fail = (drive: number): Operation => ({ kind: "fail", name: `fail drive ${drive}`, drive });
const add = (drive: number): Operation => ({ kind: "add", name: `add drive ${drive}`, drive });

/** Operations that write, for all of which drives fail in the middle, too. */
function writes(level: ArrayLevel): readonly Operation[] {
  const block: Operation = { kind: "write", name: "write a block", first: 1, count: 1 };
  if (level === 1) {
    return [
      block,
      { kind: "write", name: "write a chunk", first: 0, count: 2 },
      { kind: "unmap", name: "unmap", first: 1, count: 2 },
    ];
  }
  return [
    block,
    { kind: "write", name: "write a chunk", first: 2, count: 2 },
    { kind: "write", name: "write a stripe", first: 0, count: 6 },
    { kind: "unmap", name: "unmap", first: 3, count: 2 },
    { kind: "unmap", name: "unmap a stripe", first: 0, count: 6 },
  ];
}

/** The drives whose failures are looked at: at level 5 one of data and the one of parity of the stripe written. */
function victims(bench: Bench): readonly number[] {
  return bench.geometry.level === 5 ? [0, 3] : [0, 1];
}

function operations(bench: Bench): readonly Operation[] {
  const spare = bench.members;
  return [...writes(bench.geometry.level), flush, scrub, ...victims(bench).map(fail), add(spare), add(0), ...power];
}

/** Those from which sequences of three are made in the short run. */
function fewOperations(bench: Bench): readonly Operation[] {
  const [block, chunk, stripe] = writes(bench.geometry.level);
  return [block, stripe ?? chunk, flush, fail(0), add(bench.members), power[0]];
}

/** A drive is added, and hosts write while it is rebuilt. */
function underLoad(bench: Bench): Operation {
  const { stripeBlocks } = bench.geometry;
  const block = { kind: "write", count: 1 } as const;
  const beside = [
    ...[1, stripeBlocks, 0, 2 * stripeBlocks - 1].map((first) => ({ ...block, first })),
    { kind: "unmap", first: stripeBlocks, count: stripeBlocks } as const,
    ...[0, 1, 0, 1].map((first) => ({ ...block, first })),
    { kind: "unmap", first: 0, count: stripeBlocks } as const,
  ];
  return { kind: "add", name: `add drive ${bench.members} and write`, drive: bench.members, beside };
}

/** A drive fails with one of the requests that an operation gives it. */
function failures(bench: Bench): readonly Operation[] {
  const spare = bench.members;
  const inner = [...writes(bench.geometry.level), flush, scrub, add(spare)];
  const found: Operation[] = [];
  for (const operation of inner) {
    const drives = operation.kind === "add" ? [spare, bench.members - 2] : [...victims(bench), 1];
    // Beyond its last request the drive does not fail, and the sequence is one that was looked at.
    for (const drive of new Set(drives)) {
      for (
        let request = 0;
        request < (operation.kind === "add" ? 30 : 10);
        request += operation.kind === "add" ? 3 : 1
      ) {
        const name = `${operation.name}, drive ${drive} failing at its request ${request}`;
        found.push({ kind: "failing", name, drive, request, inner: operation });
      }
    }
  }
  return found;
}

/** Both orders of requests in the long run; in the short one they alternate. */
function ordersOf(turn: number): readonly Order[] {
  if (LONG) return ["first", "last"];
  return turn % 2 === 0 ? ["first"] : ["last"];
}

export function starts(bench: Bench): readonly Start[] {
  return [whole(bench), ...victims(bench).map((drive) => degraded(bench, drive))];
}

/** Those that sequences of three begin with. */
export function tripleStarts(bench: Bench): readonly Start[] {
  return LONG ? starts(bench) : starts(bench).slice(0, 2);
}

export function badStarts(bench: Bench): readonly Start[] {
  const last = bench.members - 1;
  const bad = [rotten(bench, 1, 1), rotten(bench, last, 1)];
  return bench.geometry.level === 5 ? [...bad, unwritten(bench, 1, 1)] : bad;
}

export function exploreSingles(bench: Bench, start: Start): Explorer {
  const explorer = new Explorer(bench);
  for (const operation of operations(bench)) {
    for (const order of ["first", "last"] as const) explorer.run(start, [operation], order, SINGLE);
  }
  // Too many blocks are in doubt for every subset of them.
  if (start.expectation.dead.length > 0) {
    for (const order of ["first", "last"] as const) explorer.run(start, [underLoad(bench)], order, PAIR);
  }
  return explorer;
}

export function exploreFailures(bench: Bench, start: Start): Explorer {
  const explorer = new Explorer(bench);
  for (const [turn, operation] of failures(bench).entries()) {
    for (const order of ordersOf(turn)) explorer.run(start, [operation], order, PAIR);
  }
  return explorer;
}

export function exploreScrub(bench: Bench): Explorer {
  const explorer = new Explorer(bench);
  for (const start of badStarts(bench)) {
    for (const order of ["first", "last"] as const) explorer.run(start, [scrub], order, { ...SINGLE, nestedEvery: 1 });
    explorer.runThrough(start, [scrub]);
  }
  // What is bad in the rows of a write must not get into their parity, and must be there again before they can be torn.
  for (const start of badStarts(bench).slice(0, 2)) {
    for (const [turn, write] of writes(bench.geometry.level).entries()) {
      for (const order of ordersOf(turn)) explorer.run(start, [write], order, PAIR);
      explorer.runThrough(start, [write, flush, scrub]);
    }
  }
  return explorer;
}

export function explorePairs(bench: Bench, start: Start): Explorer {
  const explorer = new Explorer(bench);
  const all = operations(bench);
  let turn = 0;
  for (const first of all) {
    for (const second of all) {
      for (const order of ordersOf(turn++)) explorer.run(start, [first, second], order, PAIR);
    }
  }
  return explorer;
}

export function exploreTriples(bench: Bench, start: Start): Explorer {
  const explorer = new Explorer(bench);
  const all = LONG ? operations(bench) : fewOperations(bench);
  let turn = 0;
  for (const first of all) {
    for (const second of all) {
      for (const third of all) {
        for (const order of ordersOf(turn++)) explorer.run(start, [first, second, third], order, TRIPLE);
      }
    }
  }
  return explorer;
}
