/**
 * What of one logical unit is reserved, and for whom: persistent reservations, and the reservation of a RESERVE (SPC-2),
 * which ends with its nexus or a reset.
 *
 * Invariants: there is never both a RESERVE's reservation and a registration; a change of what outlives the target takes
 * effect only once it is stored, one change after another; one that could not be stored has not happened; what ends
 * together with tasks that are aborted keeps others out until the device is done with those, so that no write of the
 * old owner lands after one of the new.
 */

import type { KeptReservations, Pending, ReservationStore } from "../interfaces.ts";
import { REGISTRATIONS_MAX } from "../limits.ts";
import { Access } from "./access.ts";
import {
  type Attention,
  CONFLICT,
  cleared,
  coversReads,
  holds,
  isForRegistrants,
  isOfAllRegistrants,
  isType,
  NOTHING_RESERVED,
  type Outcome,
  type ReservationState,
  ReserveOut,
  type ReserveRequest,
  transition,
  withdrawn,
} from "./reservations.ts";
import { Senses } from "./sense.ts";
import { isNexusName } from "./transport-id.ts";

/** Whom a unit lets in. */
interface Hold {
  readonly reservation: ReservationState["reservation"];
  readonly registered: ReadonlySet<string>;
  /** The nexus whose RESERVE holds the unit. */
  readonly reserver: string | undefined;
}

/** One that has ended, and whose aborted tasks have not. */
interface FormerHold extends Hold {
  readonly over: Promise<void>;
}

/** An outcome of a unit's. */
export type Change = Outcome & {
  /**
   * There where the tasks of `preempted` are to be aborted; to be called once the device is done with them. Whoever was kept out
   * before is until then.
   */
  readonly lift?: () => void;
};

export class UnitReservations {
  /** Whether any command may meet a conflict: all that commands look at while nothing is reserved. */
  held = false;
  readonly #store: ReservationStore | undefined;
  #state: ReservationState = NOTHING_RESERVED;
  #hold: Hold = { reservation: undefined, registered: new Set(), reserver: undefined };
  /** As many as resets and preemptions that wait for the device. */
  #former: readonly FormerHold[] = [];
  /** The store may have something, if only of an attempt that failed. */
  #mayBeKept = false;
  /** Settles, never rejects, when the change that is being stored is. */
  #storing: Promise<void> | undefined;

  constructor(store?: ReservationStore) {
    this.#store = store;
    const kept = store?.kept;
    if (kept === undefined) return;
    if (!isSound(kept)) throw new RangeError("kept reservations that no target could have kept");
    this.#mayBeKept = true;
    this.#state = { ...NOTHING_RESERVED, ...kept, persists: true };
    this.#become(this.#holdOf(this.#state));
  }

  get state(): ReservationState {
    return this.#state;
  }

  /** Whether reservations can outlive the target. */
  get canPersist(): boolean {
    return this.#store !== undefined;
  }

  /** The nexus whose RESERVE holds the unit: then nobody may manage persistent reservations (SPC-2 section 5.5.1). */
  get reserver(): string | undefined {
    return this.#hold.reserver;
  }

  /** @param access one of `Access` */
  conflicts(nexus: string, access: number): boolean {
    if (access === Access.Free || access === Access.Own) return false;
    if (keepsOut(this.#hold, nexus, access)) return true;
    return this.#former.length > 0 && this.#former.some((hold) => keepsOut(hold, nexus, access));
  }

  /** Waits until nothing that has ended keeps the nexus out any more. */
  letIn(nexus: string): Pending {
    return this.#formerAgainst(nexus)?.over.then(() => this.letIn(nexus));
  }

  #formerAgainst(nexus: string): FormerHold | undefined {
    return this.#former.find((hold) => keepsOut(hold, nexus, Access.Write));
  }

  /** RESERVE of SPC-2, with the exceptions of SPC-4 section 5.13.3. @returns false where it conflicts */
  reserve(nexus: string): boolean {
    if (this.#mayUse(nexus)) return true;
    const { registered, reserver } = this.#hold;
    if (registered.size > 0 || this.#storing !== undefined || this.#formerAgainst(nexus) !== undefined) return false;
    if (reserver !== undefined && reserver !== nexus) return false;
    this.#become({ ...this.#hold, reserver: nexus });
    return true;
  }

  /** RELEASE. @returns false where it conflicts */
  release(nexus: string): boolean {
    if (this.#mayUse(nexus)) return true;
    if (this.#hold.registered.size > 0) return false;
    this.nexusLost(nexus);
    return true;
  }

  /** Whether a persistent reservation is there that `nexus` may use the unit under: then RESERVE and RELEASE do nothing. */
  #mayUse(nexus: string): boolean {
    const { reservation, registered } = this.#hold;
    if (reservation === undefined || !registered.has(nexus)) return false;
    return isForRegistrants(reservation.type) || holds(reservation, nexus);
  }

  /** The nexus is gone, and the device is done with its tasks. */
  nexusLost(nexus: string): void {
    this.nexusReset(nexus)();
  }

  /** As `reset`, of what one nexus has. */
  nexusReset(nexus: string): () => void {
    return this.reserver === nexus ? this.reset() : nothing;
  }

  /**
   * A reset of the unit; persistent reservations stay.
   *
   * @returns to be called once the device is done with what the reset has aborted
   */
  reset(): () => void {
    return this.reserver === undefined ? nothing : this.#handOver({ ...this.#hold, reserver: undefined });
  }

  /**
   * Carries out a PERSISTENT RESERVE OUT. Rejects as the store does, or where the signal was aborted while it waited for another
   * change, which may be the one that aborts it; then nothing has changed.
   */
  change(request: ReserveRequest, signal: AbortSignal): Change | Promise<Change> {
    return this.#storing === undefined ? this.#change(request) : this.#changeLater(request, signal);
  }

  async #changeLater(request: ReserveRequest, signal: AbortSignal): Promise<Change> {
    while (this.#storing !== undefined) await this.#storing;
    signal.throwIfAborted();
    return this.#change(request);
  }

  #change(request: ReserveRequest): Change | Promise<Change> {
    if (this.reserver !== undefined) return CONFLICT;
    return this.#take(transition(this.#state, request), request.action === ReserveOut.PreemptAndAbort);
  }

  /**
   * Ends every reservation and registration, or those of some nexuses, on the word of whoever owns the unit. Rejects as the
   * store does; then nothing has changed.
   *
   * @returns whom it has to be told
   */
  async clear(isConcerned?: (nexus: string) => boolean): Promise<readonly Attention[]> {
    while (this.#storing !== undefined) await this.#storing;
    const state = this.#state;
    const outcome = await this.#take(isConcerned === undefined ? cleared(state) : withdrawn(state, isConcerned));
    const told = outcome.is === "done" ? outcome.attentions : [];
    const { reserver } = this;
    if (reserver === undefined || isConcerned?.(reserver) === false) return told;
    this.nexusLost(reserver);
    return [...told, { nexus: reserver, sense: Senses.ReservationsPreempted }];
  }

  #take(outcome: Outcome, aborts = false): Change | Promise<Change> {
    if (outcome.is !== "done" || outcome.state === this.#state) return outcome;
    const { state, preempted } = outcome;
    const takeEffect = (): Change => {
      this.#state = state;
      const next = this.#holdOf(state);
      if (aborts && preempted.length > 0) return { ...outcome, lift: this.#handOver(next) };
      this.#become(next);
      return outcome;
    };
    const store = this.#store;
    const kept = keptOf(state);
    if (store === undefined || (kept === undefined && !this.#mayBeKept)) return takeEffect();
    this.#mayBeKept = true;
    const saved = store.save(kept).then(() => {
      this.#mayBeKept = kept !== undefined;
      return takeEffect();
    });
    const storing = saved.then(nothing, nothing).then(() => {
      this.#storing = undefined;
    });
    this.#storing = storing;
    return saved;
  }

  #holdOf({ reservation, registrations }: ReservationState): Hold {
    return { ...this.#hold, reservation, registered: new Set(registrations.map(({ nexus }) => nexus)) };
  }

  /** What holds now goes on keeping others out until it is lifted. @returns what lifts it */
  #handOver(next: Hold): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const former = { ...this.#hold, over: promise };
    this.#former = [...this.#former, former];
    this.#become(next);
    return () => {
      this.#former = this.#former.filter((one) => one !== former);
      this.#become(this.#hold);
      resolve();
    };
  }

  #become(hold: Hold): void {
    this.#hold = hold;
    this.held = hold.reservation !== undefined || hold.reserver !== undefined || this.#former.length > 0;
  }
}

function keepsOut({ reserver, reservation, registered }: Hold, nexus: string, access: number): boolean {
  if (reserver !== undefined) return reserver !== nexus;
  if (reservation === undefined || access === Access.Ready) return false;
  if (access === Access.Read && !coversReads(reservation.type)) return false;
  if (isForRegistrants(reservation.type)) return !registered.has(nexus);
  return reservation.holder !== nexus;
}

function keptOf({ registrations, reservation, persists }: ReservationState): KeptReservations | undefined {
  return persists && registrations.length > 0 ? { registrations, reservation } : undefined;
}

function isSound({ registrations, reservation }: KeptReservations): boolean {
  const nexuses = new Set(registrations.map(({ nexus }) => nexus));
  const sound = registrations.every(({ nexus, key }) => isNexusName(nexus) && key > 0n && key >> 64n === 0n);
  if (!sound || nexuses.size !== registrations.length || nexuses.size === 0 || nexuses.size > REGISTRATIONS_MAX)
    return false;
  if (reservation === undefined) return true;
  const { type, holder } = reservation;
  return (
    isType(type) && (isOfAllRegistrants(type) ? holder === undefined : holder !== undefined && nexuses.has(holder))
  );
}

function nothing(): void {}
