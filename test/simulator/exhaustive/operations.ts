/** What can happen to an array between two power cuts, and how the expectation changes with it. */

import { isOperatingError } from "../../../src/base/operating-error.ts";
import type { ArrayEvent, DiskArray } from "../../../src/raid/disk-array.ts";
import { assemble, type Bench, machineWith, VOLUME } from "./bench.ts";
import type { CrashMachine, Image, Order } from "./crash-drive.ts";
import { CrashStates, keyOf } from "./crash-states.ts";
import { contentOf, type Effect, type Expectation, type Slot } from "./expectation.ts";
import { type Page, stampedPage, ZERO } from "./page.ts";
import { perform, recover } from "./recovery.ts";

export type Operation =
  | { readonly kind: "write" | "unmap"; readonly name: string; readonly first: number; readonly count: number }
  | { readonly kind: "flush"; readonly name: string }
  /** The drive gives no answer any more. */
  | { readonly kind: "fail"; readonly name: string; readonly drive: number }
  /** A drive takes the place of a missing member: the blank one, or the one that was there. It is put back for that. */
  | {
      readonly kind: "add";
      readonly name: string;
      readonly drive: number;
      /** Writes and unmaps, one after the other, while it is rebuilt. */
      readonly beside?: readonly { readonly kind: Effect["kind"]; readonly first: number; readonly count: number }[];
    }
  | { readonly kind: "scrub"; readonly name: string }
  /** An operation in which a drive fails with one of its requests. */
  | {
      readonly kind: "failing";
      readonly name: string;
      readonly drive: number;
      readonly request: number;
      readonly inner: Operation;
    }
  /** What the drives kept of what was not flushed; then everything is recovered. */
  | { readonly kind: "power"; readonly name: string; readonly kept: "all kept" | "all dropped" };

/** One life of an array: from assembly to a power cut. */
export interface Life {
  readonly machine: CrashMachine;
  readonly array: DiskArray;
  /** What the drives held when it began. */
  readonly start: Image;
  readonly number: number;
  readonly expectation: Expectation;
}

/** What a sequence begins with. */
export interface Start {
  readonly name: string;
  readonly image: Image;
  /** Lives of the array before. */
  readonly life: number;
  readonly expectation: Expectation;
}

/** What is expected if the power goes after that many events of the machine's trace, or later. */
export interface Stage {
  readonly events: number;
  readonly expectation: Expectation;
}

export function firstLife(start: Start, order: Order): Life {
  const machine = machineWith(start.image, start.life, order);
  const { drives, dead } = start.expectation;
  const there = drives.filter((drive) => !dead.includes(drive));
  for (const drive of dead) machine.drives[drive].die();
  const array = machine.run(
    assemble(
      machine,
      there.map((drive) => machine.drives[drive]),
    ),
  );
  return { machine, array, start: start.image, number: start.life, expectation: start.expectation };
}

/**
 * Carries out one operation, until nothing is under way any more.
 *
 * @param place its place in the sequence, which its content is made of
 * @returns the life afterwards, `undefined` where the array was honestly refused; and what was expected on the way
 */
export function carryOut(
  bench: Bench,
  life: Life,
  operation: Operation,
  place: number,
  failing?: number,
): { readonly life: Life | undefined; readonly stages: readonly Stage[] } {
  switch (operation.kind) {
    case "fail": {
      life.machine.drives[operation.drive].die();
      const dead = [...new Set([...life.expectation.dead, operation.drive])];
      const expectation = { ...life.expectation, dead };
      return { life: { ...life, expectation }, stages: [{ events: life.machine.trace.length, expectation }] };
    }
    case "power":
      return { life: cutPower(bench, life, operation.kept), stages: [] };
    case "flush":
      return request(life, async (array) => void (await array.volume(VOLUME)?.flush()), { flush: true, failing });
    case "scrub":
      return request(life, (array) => scrub(array, mayFail(life, failing)), { writes: true, failing });
    case "failing": {
      const { inner, drive } = operation;
      const { machine } = life;
      let left = operation.request;
      let diedAt = Number.POSITIVE_INFINITY;
      machine.onRequest = (asked) => {
        if (asked !== machine.drives[drive] || left-- !== 0) return;
        asked.die();
        diedAt = machine.trace.length;
      };
      const outcome = carryOut(bench, life, inner, place, drive);
      machine.onRequest = undefined;
      if (outcome.life === undefined || diedAt === Number.POSITIVE_INFINITY) return outcome;
      const without = (expectation: Expectation): Expectation => ({
        ...expectation,
        dead: [...new Set([...expectation.dead, drive])],
      });
      const before = outcome.stages.filter(({ events }) => events < diedAt);
      const after = outcome.stages.filter(({ events }) => events >= diedAt);
      const last = before[before.length - 1]?.expectation ?? life.expectation;
      const stages = [...before, { events: diedAt, expectation: last }, ...after];
      return {
        life: { ...outcome.life, expectation: without(outcome.life.expectation) },
        stages: stages.map(({ events, expectation }) => ({
          events,
          expectation: events >= diedAt ? without(expectation) : expectation,
        })),
      };
    }
    case "add": {
      const drive = life.machine.drives[operation.drive];
      if (life.expectation.dead.includes(operation.drive)) drive.revive();
      const dead = life.expectation.dead.filter((other) => other !== operation.drive);
      const drives = [...new Set([...life.expectation.drives, operation.drive])];
      const put = { ...life, expectation: { ...life.expectation, dead, drives } };
      const effects = (operation.beside ?? []).map(({ kind, first, count }, i): Effect => {
        const page = (block: number): Page => (kind === "unmap" ? ZERO : stampedPage(100 * i + place, block));
        return { kind, first, pages: Array.from({ length: count }, (_, block) => page(first + block)) };
      });
      const run = async (array: DiskArray): Promise<void> => {
        await array.add(drive);
        await perform(array, effects);
      };
      return request(put, run, { added: operation.drive, failing, effects });
    }
    default: {
      const { kind, first, count } = operation;
      const page = (block: number): Page => (kind === "unmap" ? ZERO : stampedPage(place, block));
      const effect = { kind, first, pages: Array.from({ length: count }, (_, i) => page(first + i)) };
      return request(life, (array) => perform(array, [effect]), { effects: [effect], failing });
    }
  }
}

/** @param tooFew whether rows may lack more than the array can do without */
async function scrub(array: DiskArray, tooFew: boolean): Promise<void> {
  const { unrepairable } = await array.scrub();
  if (unrepairable > 0 && !tooFew) throw new Error(`scrub finds ${unrepairable} rows that it cannot repair`);
}

interface Meaning {
  /** It may change something, though not what the volume holds. */
  readonly writes?: boolean;
  readonly flush?: boolean;
  readonly effects?: readonly Effect[];
  /** The drive that takes a place. */
  readonly added?: number;
  /** The drive that is about to fail. */
  readonly failing?: number;
}

function request(
  life: Life,
  run: (array: DiskArray) => Promise<void>,
  { flush = false, writes = false, effects = [], added, failing }: Meaning,
): { readonly life: Life; readonly stages: readonly Stage[] } {
  const { machine, array } = life;
  let { expectation } = life;
  const stages: Stage[] = [];
  const reach = (next: Partial<Expectation>): void => {
    expectation = { ...expectation, ...next };
    stages.push({ events: machine.trace.length, expectation });
  };
  if (effects.length > 0) reach({ pending: [...expectation.pending, ...effects], dirty: true });
  const setSlot = (at: number, to: Partial<Slot>): void => {
    reach({ slots: expectation.slots.map((slot, i) => (i === at ? { ...slot, ...to } : slot)) });
  };
  if (writes) reach({ dirty: true });
  if (added !== undefined) {
    const at = array.status.members.findIndex(({ state }) => state !== "active");
    if (at >= 0) setSlot(at, { drive: added, state: "joining" });
  }
  array.onEvent = (event: ArrayEvent) => {
    if (event.kind === "member-failed") setSlot(event.slot, { state: "losing" });
    if (event.kind === "rebuild-finished") setSlot(event.slot, { state: "active" });
  };
  const done = run(array).then(() => {
    if (flush) reach({ base: contentOf(expectation), pending: [] });
  });
  try {
    machine.run(done);
  } catch (error) {
    if (!isOperatingError(error)) throw error;
    const honest =
      (error.code === "raid.failed" && mayFail(life, failing)) ||
      (error.code === "raid.not-missing" && array.status.members.every(({ state }) => state === "active")) ||
      (error.code === "raid.duplicate-drive" && life.expectation.slots.some(({ drive }) => drive === added)) ||
      (added !== undefined && (added === failing || life.expectation.dead.includes(added)));
    if (!honest) throw error;
  }
  // Nothing is under way: the others' superblocks say who was lost, unless the array failed.
  if (array.status.state !== "failed") {
    const settled = ({ drive, state }: Slot, i: number): Slot => {
      if (state === "losing") return { drive, state: "lost" };
      // It never came to be a member, or it would be active by now.
      return state === "joining" && array.status.members[i].state !== "active"
        ? { drive, state: "lost" }
        : { drive, state };
    };
    reach({ slots: expectation.slots.map(settled) });
  }
  return { life: { ...life, expectation }, stages };
}

/** Whether more drives are gone than the array can do without. */
function mayFail({ array, expectation: { slots, dead } }: Life, failing: number | undefined): boolean {
  const gone = (drive: number): boolean => dead.includes(drive) || drive === failing;
  const missing = slots.filter(({ drive, state }) => state !== "active" || gone(drive)).length;
  return missing > (array.status.level === 5 ? 1 : slots.length - 1);
}

function cutPower(bench: Bench, life: Life, kept: "all kept" | "all dropped"): Life | undefined {
  const { machine, expectation } = life;
  const states = new CrashStates(life.start, keyOf(life.start));
  for (const event of machine.trace) states.apply(event);
  let start: Image | undefined;
  states.enumerate({ subsets: 0, selection: "drives", drawn: 0, torn: false }, "", (state) => {
    if (state.kind === kept || start === undefined) start = state.image();
  });
  if (start === undefined) throw new Error("a power cut leaves something");
  const present = new Set(expectation.drives.filter((drive) => !expectation.dead.includes(drive)));
  const number = life.number + 1;
  const recovered = recover(bench, start, expectation, present, { close: false, life: number });
  if (recovered.array === undefined) return undefined;
  const last = recovered.stages[recovered.stages.length - 1].expectation;
  return { machine: recovered.machine, array: recovered.array, start, number, expectation: last };
}
