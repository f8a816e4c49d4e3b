/**
 * What of one logical unit is reserved, and for whom: persistent reservations, and the reservation of a RESERVE (SPC-2),
 * which ends with its nexus or a reset.
 *
 * Invariants: there is never both a RESERVE's reservation and a registration; a change of what outlives the target takes
 * effect only once it is stored, one change after another; one that could not be stored has not happened.
 */

import type { KeptReservations, ReservationStore } from "../interfaces.ts";
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
  type ReserveRequest,
  transition,
} from "./reservations.ts";
import { Senses } from "./sense.ts";

export class UnitReservations {
  /** Whether any command may meet a conflict: all that commands look at while nothing is reserved. */
  held = false;
  readonly #store: ReservationStore | undefined;
  #state: ReservationState = NOTHING_RESERVED;
  #registered: ReadonlySet<string> = new Set();
  #reserver: string | undefined;
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
    this.#become({ ...NOTHING_RESERVED, ...kept, persists: true });
  }

  get state(): ReservationState {
    return this.#state;
  }

  /** Whether reservations can outlive the target. */
  get canPersist(): boolean {
    return this.#store !== undefined;
  }

  /** The port whose RESERVE holds the unit: then nobody may manage persistent reservations (SPC-2 section 5.5.1). */
  get reserver(): string | undefined {
    return this.#reserver;
  }

  /** @param access one of `Access` */
  conflicts(port: string, access: number): boolean {
    if (access === Access.Free || access === Access.Own) return false;
    if (this.#reserver !== undefined) return this.#reserver !== port;
    const { reservation } = this.#state;
    if (reservation === undefined || access === Access.Ready) return false;
    if (access === Access.Read && !coversReads(reservation.type)) return false;
    if (isForRegistrants(reservation.type)) return !this.#registered.has(port);
    return reservation.holder !== port;
  }

  /** RESERVE of SPC-2, with the exceptions of SPC-4 section 5.13.3. @returns false where it conflicts */
  reserve(port: string): boolean {
    if (this.#mayUse(port)) return true;
    if (this.#registered.size > 0 || this.#storing !== undefined) return false;
    if (this.#reserver !== undefined && this.#reserver !== port) return false;
    this.#reserver = port;
    this.held = true;
    return true;
  }

  /** RELEASE. @returns false where it conflicts */
  release(port: string): boolean {
    if (this.#mayUse(port)) return true;
    if (this.#registered.size > 0) return false;
    this.nexusLost(port);
    return true;
  }

  /** Whether a persistent reservation is there that `port` may use the unit under: then RESERVE and RELEASE do nothing. */
  #mayUse(port: string): boolean {
    const { reservation } = this.#state;
    if (reservation === undefined || !this.#registered.has(port)) return false;
    return isForRegistrants(reservation.type) || holds(reservation, port);
  }

  nexusLost(port: string): void {
    if (this.#reserver === port) this.reset();
  }

  /** A reset of the unit: persistent reservations stay. */
  reset(): void {
    this.#reserver = undefined;
    this.held = this.#state.reservation !== undefined;
  }

  /** Carries out a PERSISTENT RESERVE OUT. Rejects as the store does; then nothing has changed. */
  change(request: ReserveRequest): Outcome | Promise<Outcome> {
    return this.#storing === undefined ? this.#change(request) : this.#changeLater(request);
  }

  async #changeLater(request: ReserveRequest): Promise<Outcome> {
    while (this.#storing !== undefined) await this.#storing;
    return this.#change(request);
  }

  #change(request: ReserveRequest): Outcome | Promise<Outcome> {
    if (this.#reserver !== undefined) return CONFLICT;
    return this.#take(transition(this.#state, request));
  }

  /**
   * Ends every reservation and registration, on the word of whoever owns the unit. Rejects as the store does; then nothing
   * has changed.
   *
   * @returns whom it has to be told
   */
  async clear(): Promise<readonly Attention[]> {
    while (this.#storing !== undefined) await this.#storing;
    const outcome = await this.#take(cleared(this.#state));
    const told = outcome.is === "done" ? outcome.attentions : [];
    const reserver = this.#reserver;
    if (reserver === undefined) return told;
    this.reset();
    return [...told, { port: reserver, sense: Senses.ReservationsPreempted }];
  }

  #take(outcome: Outcome): Outcome | Promise<Outcome> {
    if (outcome.is !== "done" || outcome.state === this.#state) return outcome;
    const { state } = outcome;
    const store = this.#store;
    const kept = keptOf(state);
    if (store === undefined || (kept === undefined && !this.#mayBeKept)) {
      this.#become(state);
      return outcome;
    }
    this.#mayBeKept = true;
    const saved = store.save(kept).then(() => {
      this.#mayBeKept = kept !== undefined;
      this.#become(state);
      return outcome;
    });
    const storing = saved.then(nothing, nothing).then(() => {
      this.#storing = undefined;
    });
    this.#storing = storing;
    return saved;
  }

  #become(state: ReservationState): void {
    this.#state = state;
    this.#registered = new Set(state.registrations.map(({ port }) => port));
    this.held = state.reservation !== undefined || this.#reserver !== undefined;
  }
}

function keptOf({ registrations, reservation, persists }: ReservationState): KeptReservations | undefined {
  return persists && registrations.length > 0 ? { registrations, reservation } : undefined;
}

function isSound({ registrations, reservation }: KeptReservations): boolean {
  const ports = new Set(registrations.map(({ port }) => port));
  const keys = registrations.every(({ key }) => key > 0n && key >> 64n === 0n);
  if (!keys || ports.size !== registrations.length || ports.size === 0 || ports.size > REGISTRATIONS_MAX) return false;
  if (reservation === undefined) return true;
  const { type, holder } = reservation;
  return isType(type) && (isOfAllRegistrants(type) ? holder === undefined : holder !== undefined && ports.has(holder));
}

function nothing(): void {}
