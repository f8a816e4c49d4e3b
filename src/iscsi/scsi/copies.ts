/**
 * The copies of a target: those under way, and what became of those that had a list identifier, for the RECEIVE COPY commands.
 *
 * Invariants: at most COPIES_MAX are under way, and no host can have so many that others get none; a list identifier names at
 * most one copy of an I_T nexus at a unit; an aborted copy has nothing left to do at any device once its abortion has ended.
 */

import { COPIES_KNOWN_MAX, COPIES_MAX } from "../limits.ts";
import { CheckCondition, type Sense, Senses } from "./sense.ts";
import { toGiveWay } from "./shares.ts";
import { initiatorNameOf } from "./transport-id.ts";
import type { LogicalUnit } from "./unit.ts";

export interface CopySpec {
  /** The unit that the command was sent to. */
  readonly manager: LogicalUnit;
  /** The I_T nexus that sent it, see `nexusName`. */
  readonly nexus: string;
  /** Absent where nobody will ask for it. */
  readonly listId: number | undefined;
  /** Of the command. */
  readonly serviceAction: number;
  /** Whether its command does not wait for it. */
  readonly immediate: boolean;
}

export class Copy {
  readonly spec: CopySpec;
  /** Units that it reads or writes. */
  readonly units = new Set<LogicalUnit>();
  state: "under way" | "done" | "failed" | "aborted" = "under way";
  /** What has become of it so far: segments, bytes written, and how often it wrote. */
  segments = 0;
  bytes = 0;
  operations = 0;
  /** It is done, with less transferred than was asked for: its token had no more. */
  cutShort = false;
  sense: Sense | undefined;
  /** The ROD token that it made. */
  token: Uint8Array | undefined;
  /** Resolves when it is over; never rejects. */
  over: Promise<void> = Promise.resolve();
  readonly #controller = new AbortController();

  constructor(spec: CopySpec) {
    this.spec = spec;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(): void {
    this.#controller.abort();
  }
}

export class Copies {
  readonly #underWay = new Set<Copy>();
  /** In the order in which they began. */
  readonly #known: Copy[] = [];

  /** Whether a nexus may begin another: its host never has more under way than there is still room for. */
  hasRoomFor(nexus: string): boolean {
    const host = initiatorNameOf(nexus);
    const own = [...this.#underWay].filter((copy) => hostOf(copy) === host).length;
    return own < COPIES_MAX - this.#underWay.size;
  }

  find(manager: LogicalUnit, nexus: string, listId: number): Copy | undefined {
    return this.#known.find(({ spec }) => spec.listId === listId && spec.manager === manager && spec.nexus === nexus);
  }

  /**
   * Begins a copy. What fails is in its `sense`, `over` never rejects.
   *
   * @throws CheckCondition where a copy with its list identifier is under way
   */
  begin(copy: Copy, work: () => Promise<void>): void {
    const { manager, nexus, listId } = copy.spec;
    if (listId !== undefined) {
      const other = this.find(manager, nexus, listId);
      if (other?.state === "under way") throw new CheckCondition(Senses.OperationInProgress);
      this.#forget((one) => one === other);
      this.#known.push(copy);
      if (this.#known.length > COPIES_KNOWN_MAX) {
        const over = this.#known.filter(({ state }) => state !== "under way");
        const forgotten = toGiveWay(over, hostOf, hostOf(copy));
        this.#forget((one) => one === forgotten);
      }
    }
    this.#underWay.add(copy);
    copy.over = this.#carryOut(copy, work);
  }

  async #carryOut(copy: Copy, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      copy.state = "done";
    } catch (error) {
      copy.state = copy.signal.aborted ? "aborted" : "failed";
      copy.sense = copy.signal.aborted ? Senses.CopyAborted : senseFor(copy, error);
    } finally {
      this.#underWay.delete(copy);
      copy.units.clear();
    }
  }

  /** Aborts some of those under way. @returns when these are over; `undefined` where there are none */
  abort(which: (copy: Copy) => boolean): Promise<unknown> | undefined {
    const copies = [...this.#underWay].filter(which);
    for (const copy of copies) copy.abort();
    return copies.length === 0 ? undefined : Promise.all(copies.map(({ over }) => over));
  }

  /** A unit is removed: those that touch it are aborted, and what it knows is forgotten. */
  unitEnds(unit: LogicalUnit): Promise<unknown> | undefined {
    this.#forget(({ spec }) => spec.manager === unit);
    return this.abort((copy) => touches(copy, unit));
  }

  /** A reset of a unit: those that were sent to it are aborted. */
  unitReset(unit: LogicalUnit): Promise<unknown> | undefined {
    return this.abort(({ spec }) => spec.manager === unit);
  }

  /** A nexus may not use a unit any more. */
  withdrawn(unit: LogicalUnit, nexus: string): Promise<unknown> | undefined {
    return this.abort((copy) => copy.spec.nexus === nexus && touches(copy, unit));
  }

  /** Nobody can ask any more for what the nexus has begun, and nobody waits for it. */
  nexusLost(nexus: string): Promise<unknown> | undefined {
    this.#forget(({ spec }) => spec.nexus === nexus);
    return this.abort(({ spec }) => spec.nexus === nexus);
  }

  #forget(which: (copy: Copy) => boolean): void {
    for (let index = this.#known.length - 1; index >= 0; index--) {
      if (which(this.#known[index])) this.#known.splice(index, 1);
    }
  }
}

function hostOf({ spec }: Copy): string {
  return initiatorNameOf(spec.nexus);
}

/** Whether it was sent to a unit, reads it or writes it. */
export function touches({ spec, units }: Copy, unit: LogicalUnit): boolean {
  return spec.manager === unit || units.has(unit);
}

function senseFor({ spec: { manager } }: Copy, error: unknown): Sense {
  if (error instanceof CheckCondition) return error.sense;
  manager.host.deviceFailed(manager, error);
  return Senses.ThirdPartyDeviceFailure;
}
