/**
 * Persistent reservations of one logical unit (SPC-4 section 5.13), pure: a request and a state give the next state, and
 * whom it concerns.
 *
 * Invariants: an I_T nexus is registered at most once; a reservation is there only while a registrant holds it; a
 * request that is refused, or meets a conflict, changes nothing. Nexuses are names here: who is behind them is nothing to this
 * file.
 */

import { REGISTRATIONS_MAX } from "../limits.ts";
import { invalidCdbField, invalidParameter, type Sense, Senses } from "./sense.ts";

/** The service actions of PERSISTENT RESERVE OUT. */
export const ReserveOut = {
  Register: 0x00,
  Reserve: 0x01,
  Release: 0x02,
  Clear: 0x03,
  Preempt: 0x04,
  PreemptAndAbort: 0x05,
  RegisterAndIgnoreExistingKey: 0x06,
  RegisterAndMove: 0x07,
} as const;

export const ReservationType = {
  WriteExclusive: 1,
  ExclusiveAccess: 3,
  WriteExclusiveRegistrantsOnly: 5,
  ExclusiveAccessRegistrantsOnly: 6,
  WriteExclusiveAllRegistrants: 7,
  ExclusiveAccessAllRegistrants: 8,
} as const;

export const isType = (type: number): boolean => type === 1 || type === 3 || (type >= 5 && type <= 8);
/** Reading is exclusive as well as writing. */
export const coversReads = (type: number): boolean => type === 3 || type === 6 || type === 8;
/** Every registrant may use the unit, or is the holder even. */
export const isForRegistrants = (type: number): boolean => type >= 5;
export const isOfAllRegistrants = (type: number): boolean => type >= 7;

export interface Registration {
  /** As `nexusName` makes it. */
  readonly nexus: string;
  /** Not 0. */
  readonly key: bigint;
}

export interface Reservation {
  /** One of `ReservationType`. */
  readonly type: number;
  /** The I_T nexus that holds it; `undefined` where all registrants do. */
  readonly holder: string | undefined;
}

export interface ReservationState {
  /** In the order in which they were made. */
  readonly registrations: readonly Registration[];
  readonly reservation: Reservation | undefined;
  /** PRGENERATION: 32 bits, from 0 at each start of the target. */
  readonly generation: number;
  /** Whether it outlives the target (APTPL). */
  readonly persists: boolean;
}

export const NOTHING_RESERVED: ReservationState = {
  registrations: [],
  reservation: undefined,
  generation: 0,
  persists: false,
};

export interface ReserveRequest {
  /** One of `ReserveOut`. */
  readonly action: number;
  /** The I_T nexus that asks. */
  readonly nexus: string;
  readonly type: number;
  readonly key: bigint;
  /** SERVICE ACTION RESERVATION KEY. */
  readonly actionKey: bigint;
  readonly persists: boolean;
  /** I_T nexuses that SPEC_I_PT named; `undefined` where it is 0. */
  readonly others: readonly string[] | undefined;
  /** With ALL_TG_PT, the nexuses of the port that asks with the other target ports. */
  readonly elsewhere?: readonly string[];
  /** Where REGISTER AND MOVE moves the reservation to. */
  readonly destination: string;
  readonly unregister: boolean;
}

export interface Attention {
  readonly nexus: string;
  readonly sense: Sense;
}

export type Outcome =
  | { readonly is: "conflict" }
  | { readonly is: "refused"; readonly sense: Sense }
  | {
      readonly is: "done";
      readonly state: ReservationState;
      readonly attentions: readonly Attention[];
      /** Ports whose tasks PREEMPT AND ABORT aborts. */
      readonly preempted: readonly string[];
    };

export const CONFLICT: Outcome = { is: "conflict" };

function refused(sense: Sense): Outcome {
  return { is: "refused", sense };
}

function done(
  state: ReservationState,
  attentions: readonly Attention[] = [],
  preempted: readonly string[] = [],
): Outcome {
  return { is: "done", state, attentions, preempted };
}

export function keyOf({ registrations }: ReservationState, nexus: string): bigint | undefined {
  return registrations.find((one) => one.nexus === nexus)?.key;
}

/** Whether a registered nexus holds the reservation. */
export function holds(reservation: Reservation, nexus: string): boolean {
  return isOfAllRegistrants(reservation.type) || reservation.holder === nexus;
}

export function transition(state: ReservationState, request: ReserveRequest): Outcome {
  const own = keyOf(state, request.nexus);
  switch (request.action) {
    case ReserveOut.Register:
    case ReserveOut.RegisterAndIgnoreExistingKey:
      return registerEverywhere(state, request);
  }
  if (own === undefined || own !== request.key) return CONFLICT;
  switch (request.action) {
    case ReserveOut.Reserve:
      return reserve(state, request);
    case ReserveOut.Release:
      return release(state, request);
    case ReserveOut.Clear:
      return clear(state, request);
    case ReserveOut.Preempt:
    case ReserveOut.PreemptAndAbort:
      return preempt(state, request);
    case ReserveOut.RegisterAndMove:
      return move(state, request);
    default:
      return refused(invalidCdbField(1));
  }
}

/**
 * As if the request had come through each of the nexuses (ALL_TG_PT), and counted once. Where it would meet a conflict at one
 * elsewhere, that one stays as it is.
 */
function registerEverywhere(state: ReservationState, request: ReserveRequest): Outcome {
  const { elsewhere = [] } = request;
  let outcome = register(state, request);
  for (const nexus of elsewhere) {
    if (outcome.is !== "done") return outcome;
    const next = register(outcome.state, { ...request, nexus, others: undefined });
    if (next.is === "refused") return next;
    if (next.is === "conflict") continue;
    outcome = done(next.state, [...outcome.attentions, ...next.attentions]);
  }
  if (outcome.is !== "done" || outcome.state === state) return outcome;
  return { ...outcome, state: { ...outcome.state, generation: following(state) } };
}

/** Sections 5.13.7 and 5.13.11.3: a key of 0 unregisters. */
function register(state: ReservationState, request: ReserveRequest): Outcome {
  const { nexus, actionKey, others = [] } = request;
  const own = keyOf(state, nexus);
  if (request.action === ReserveOut.Register && request.key !== (own ?? 0n)) return CONFLICT;
  if (request.others !== undefined && (own !== undefined || actionKey === 0n)) return refused(Senses.InvalidFieldInCdb);
  if (own === undefined && actionKey === 0n) return done(state);
  const next = { ...state, generation: following(state), persists: request.persists };
  if (actionKey === 0n) return unregister(next, nexus);
  const fresh = new Set([nexus, ...others].filter((one) => keyOf(state, one) === undefined));
  if (state.registrations.length + fresh.size > REGISTRATIONS_MAX) {
    return refused(Senses.InsufficientRegistrationResources);
  }
  const changed = state.registrations.map((one) => (one.nexus === nexus ? { nexus, key: actionKey } : one));
  const added = [...fresh].map((one) => ({ nexus: one, key: actionKey }));
  return done({ ...next, registrations: [...changed, ...added] });
}

function unregister(state: ReservationState, nexus: string): Outcome {
  const registrations = state.registrations.filter((one) => one.nexus !== nexus);
  const { reservation } = state;
  const released =
    reservation !== undefined &&
    (isOfAllRegistrants(reservation.type) ? registrations.length === 0 : reservation.holder === nexus);
  if (!released) return done({ ...state, registrations });
  const told = isForRegistrants(reservation.type) ? tell(registrations, Senses.ReservationsReleased) : [];
  return done({ ...state, registrations, reservation: undefined }, told);
}

/** Section 5.13.9. */
function reserve(state: ReservationState, { nexus, type }: ReserveRequest): Outcome {
  const { reservation } = state;
  if (reservation === undefined) return done({ ...state, reservation: heldBy(nexus, type) });
  return holds(reservation, nexus) && reservation.type === type ? done(state) : CONFLICT;
}

/** Section 5.13.11.2. */
function release(state: ReservationState, { nexus, type }: ReserveRequest): Outcome {
  const { reservation, registrations } = state;
  if (reservation === undefined || !holds(reservation, nexus)) return done(state);
  if (reservation.type !== type) return refused(Senses.InvalidRelease);
  const told = isForRegistrants(type) ? tell(registrations, Senses.ReservationsReleased, nexus) : [];
  return done({ ...state, reservation: undefined }, told);
}

/** Section 5.13.11.6. */
function clear(state: ReservationState, { nexus }: ReserveRequest): Outcome {
  return cleared(state, nexus);
}

/** @param except the nexus that is not told, since it asks for it itself; all are where nobody among them does */
export function cleared(state: ReservationState, except?: string): Outcome {
  return done(
    { ...state, registrations: [], reservation: undefined, generation: following(state) },
    tell(state.registrations, Senses.ReservationsPreempted, except),
  );
}

/** As if those nexuses had been preempted, and a reservation that one of them holds released: on the word of the unit's owner. */
export function withdrawn(state: ReservationState, isConcerned: (nexus: string) => boolean): Outcome {
  const { registrations, reservation } = state;
  const victims = registrations.filter(({ nexus }) => isConcerned(nexus));
  if (victims.length === 0) return done(state);
  const left = registrations.filter(({ nexus }) => !isConcerned(nexus));
  const released = reservation !== undefined && !left.some(({ nexus }) => holds(reservation, nexus));
  return done(
    { ...state, registrations: left, generation: following(state), reservation: released ? undefined : reservation },
    [
      ...tell(victims, Senses.RegistrationsPreempted),
      ...(released && isForRegistrants(reservation.type) ? tell(left, Senses.ReservationsReleased) : []),
    ],
  );
}

/** Sections 5.13.11.4 and 5.13.11.5. */
function preempt(state: ReservationState, { nexus, type, actionKey }: ReserveRequest): Outcome {
  const { registrations, reservation } = state;
  const ofAll = reservation !== undefined && isOfAllRegistrants(reservation.type);
  if (actionKey === 0n && !ofAll) return refused(invalidParameter(8));
  const generation = following(state);
  const holderKey = reservation?.holder === undefined ? undefined : keyOf(state, reservation.holder);
  const takesOver = reservation !== undefined && (ofAll ? actionKey === 0n : holderKey === actionKey);
  if (!takesOver) {
    const victims = registrations.filter((one) => one.key === actionKey);
    if (victims.length === 0) return CONFLICT;
    const left = registrations.filter((one) => one.key !== actionKey);
    return done(
      { ...state, registrations: left, generation, reservation: left.length === 0 ? undefined : reservation },
      tell(victims, Senses.RegistrationsPreempted, nexus),
      nexusesOf(victims),
    );
  }
  if (!isType(type)) return refused(invalidCdbField(2));
  const isVictim = (one: Registration) => one.nexus !== nexus && (ofAll || one.key === actionKey);
  const victims = registrations.filter(isVictim);
  const left = registrations.filter((one) => !isVictim(one));
  return done(
    { ...state, registrations: left, generation, reservation: heldBy(nexus, type) },
    [
      ...tell(victims, Senses.RegistrationsPreempted),
      ...(reservation.type === type ? [] : tell(left, Senses.ReservationsReleased, nexus)),
    ],
    nexusesOf(victims),
  );
}

/** Section 5.13.8. */
function move(state: ReservationState, request: ReserveRequest): Outcome {
  const { registrations, reservation } = state;
  const { nexus, actionKey, destination } = request;
  if (reservation === undefined) return refused(Senses.InvalidFieldInCdb);
  if (reservation.holder !== nexus) return CONFLICT;
  if (actionKey === 0n) return refused(invalidParameter(8));
  if (destination === nexus) return refused(invalidParameter(24));
  const left = registrations.filter((one) => one.nexus !== destination && !(request.unregister && one.nexus === nexus));
  if (left.length === REGISTRATIONS_MAX) return refused(Senses.InsufficientRegistrationResources);
  return done({
    registrations: [...left, { nexus: destination, key: actionKey }],
    reservation: { type: reservation.type, holder: destination },
    generation: following(state),
    persists: request.persists,
  });
}

function heldBy(nexus: string, type: number): Reservation {
  return { type, holder: isOfAllRegistrants(type) ? undefined : nexus };
}

function following({ generation }: ReservationState): number {
  return (generation + 1) >>> 0;
}

function tell(registrations: readonly Registration[], sense: Sense, except?: string): readonly Attention[] {
  return nexusesOf(registrations)
    .filter((nexus) => nexus !== except)
    .map((nexus) => ({ nexus, sense }));
}

function nexusesOf(registrations: readonly Registration[]): readonly string[] {
  return registrations.map(({ nexus }) => nexus);
}
