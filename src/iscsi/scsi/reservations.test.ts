import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { REGISTRATIONS_MAX } from "../limits.ts";
import {
  holds,
  isOfAllRegistrants,
  keyOf,
  NOTHING_RESERVED,
  type Outcome,
  type ReservationState,
  ReservationType,
  ReserveOut,
  type ReserveRequest,
  transition,
  withdrawn,
} from "./reservations.ts";
import { Senses } from "./sense.ts";

const {
  WriteExclusive: WE,
  ExclusiveAccess: EA,
  WriteExclusiveRegistrantsOnly: WERO,
  ExclusiveAccessAllRegistrants: EAAR,
} = ReservationType;

const plain: ReserveRequest = {
  action: 0,
  nexus: "a",
  type: 0,
  key: 0n,
  actionKey: 0n,
  persists: false,
  others: undefined,
  destination: "",
  unregister: false,
};

function ask(state: ReservationState, action: number, nexus: string, more: Partial<ReserveRequest> = {}): Outcome {
  return transition(state, { ...plain, action, nexus, key: keyOf(state, nexus) ?? 0n, ...more });
}

function done(outcome: Outcome) {
  if (outcome.is !== "done") throw new Error(`${outcome.is}`);
  return outcome;
}

/** a, b, c with keys 1, 2, 2; a may hold a reservation. */
function three(type?: number): ReservationState {
  const registrations = [
    { nexus: "a", key: 1n },
    { nexus: "b", key: 2n },
    { nexus: "c", key: 2n },
  ];
  const reservation = type === undefined ? undefined : { type, holder: isOfAllRegistrants(type) ? undefined : "a" };
  return { ...NOTHING_RESERVED, registrations, reservation };
}

const told = (outcome: Outcome) => done(outcome).attentions.map(({ nexus, sense }) => [nexus, sense.asc, sense.ascq]);
const nexuses = (outcome: Outcome) => done(outcome).state.registrations.map(({ nexus }) => nexus);

describe("registering", () => {
  test("a key, another one, and none", () => {
    const first = done(ask(NOTHING_RESERVED, ReserveOut.Register, "a", { actionKey: 7n }));
    expect(first.state).toMatchObject({ generation: 1, registrations: [{ nexus: "a", key: 7n }] });
    expect(ask(first.state, ReserveOut.Register, "a", { key: 8n, actionKey: 9n }).is).toBe("conflict");
    const second = done(ask(first.state, ReserveOut.RegisterAndIgnoreExistingKey, "a", { key: 8n, actionKey: 9n }));
    expect(keyOf(second.state, "a")).toBe(9n);
    const last = done(ask(second.state, ReserveOut.Register, "a"));
    expect(last.state).toMatchObject({ generation: 3, registrations: [] });
    expect(done(ask(last.state, ReserveOut.Register, "a")).state).toBe(last.state);
    expect(ask(last.state, ReserveOut.Register, "a", { key: 1n, actionKey: 1n }).is).toBe("conflict");
  });

  test("others, as long as none is registered itself and there is room", () => {
    const both = ask(three(), ReserveOut.Register, "d", { actionKey: 4n, others: ["e", "b", "e"] });
    expect(nexuses(both)).toEqual(["a", "b", "c", "d", "e"]);
    expect(keyOf(done(both).state, "b")).toBe(2n);
    expect(ask(three(), ReserveOut.Register, "a", { actionKey: 4n, others: ["e"] })).toEqual({
      is: "refused",
      sense: Senses.InvalidFieldInCdb,
    });
    const many = Array.from({ length: REGISTRATIONS_MAX - 3 }, (_, at) => `p${at}`);
    expect(ask(three(), ReserveOut.Register, "d", { actionKey: 4n, others: many })).toEqual({
      is: "refused",
      sense: Senses.InsufficientRegistrationResources,
    });
    expect(nexuses(ask(three(), ReserveOut.Register, "d", { actionKey: 4n, others: many.slice(1) })).length).toBe(
      REGISTRATIONS_MAX,
    );
  });

  test("a holder that unregisters releases its reservation; only registrants that could use it are told", () => {
    expect(told(ask(three(WE), ReserveOut.Register, "a"))).toEqual([]);
    const released = ask(three(WERO), ReserveOut.Register, "a");
    expect(done(released).state.reservation).toBeUndefined();
    expect(told(released)).toEqual([
      ["b", 0x2a, 4],
      ["c", 0x2a, 4],
    ]);
    expect(done(ask(three(WERO), ReserveOut.Register, "b")).state.reservation?.holder).toBe("a");
    let state = three(EAAR);
    for (const nexus of ["a", "b"]) state = done(ask(state, ReserveOut.Register, nexus)).state;
    expect(state.reservation?.type).toBe(EAAR);
    expect(done(ask(state, ReserveOut.Register, "c")).state.reservation).toBeUndefined();
  });
});

describe("reserving and releasing", () => {
  test("the same again is nothing, anything else a conflict", () => {
    expect(ask(three(), ReserveOut.Reserve, "d", { type: WE }).is).toBe("conflict");
    const held = done(ask(three(), ReserveOut.Reserve, "a", { type: WE })).state;
    expect(held).toMatchObject({ generation: 0, reservation: { type: WE, holder: "a" } });
    expect(done(ask(held, ReserveOut.Reserve, "a", { type: WE })).state).toBe(held);
    expect(ask(held, ReserveOut.Reserve, "a", { type: EA }).is).toBe("conflict");
    expect(ask(held, ReserveOut.Reserve, "b", { type: WE }).is).toBe("conflict");
    const shared = three(EAAR);
    expect(done(ask(shared, ReserveOut.Reserve, "b", { type: EAAR })).state).toBe(shared);
  });

  test("a release by others does nothing, one of another type is refused", () => {
    const held = three(WERO);
    expect(done(ask(held, ReserveOut.Release, "b", { type: WERO })).state).toBe(held);
    expect(ask(held, ReserveOut.Release, "a", { type: WE })).toEqual({ is: "refused", sense: Senses.InvalidRelease });
    const released = ask(held, ReserveOut.Release, "a", { type: WERO });
    expect(done(released).state).toMatchObject({ reservation: undefined, generation: 0 });
    expect(told(released).map(([nexus]) => nexus)).toEqual(["b", "c"]);
    expect(told(ask(three(WE), ReserveOut.Release, "a", { type: WE }))).toEqual([]);
  });

  test("CLEAR leaves nothing, and tells all others", () => {
    const cleared = ask(three(EA), ReserveOut.Clear, "b");
    expect(done(cleared).state).toMatchObject({ registrations: [], reservation: undefined, generation: 1 });
    expect(told(cleared)).toEqual([
      ["a", 0x2a, 3],
      ["c", 0x2a, 3],
    ]);
  });
});

describe("preempting", () => {
  test("the holder takes its place, and everything of its key", () => {
    const taken = done(ask(three(WE), ReserveOut.Preempt, "b", { type: EA, actionKey: 1n }));
    expect(taken.state).toMatchObject({ generation: 1, reservation: { type: EA, holder: "b" } });
    expect(nexuses(taken)).toEqual(["b", "c"]);
    expect(told(taken)).toEqual([
      ["a", 0x2a, 5],
      ["c", 0x2a, 4],
    ]);
    expect(taken.preempted).toEqual(["a"]);
    expect(told(ask(three(WE), ReserveOut.Preempt, "b", { type: WE, actionKey: 1n }))).toEqual([["a", 0x2a, 5]]);
    expect(ask(three(WE), ReserveOut.Preempt, "b", { type: 2, actionKey: 1n }).is).toBe("refused");
  });

  test("the holder may preempt itself, to change the type", () => {
    const changed = done(ask(three(WE), ReserveOut.Preempt, "a", { type: WERO, actionKey: 1n }));
    expect(changed.state.reservation).toEqual({ type: WERO, holder: "a" });
    expect(nexuses(changed)).toEqual(["a", "b", "c"]);
    expect(changed.preempted).toEqual([]);
  });

  test("another key takes registrations only, one's own too", () => {
    const removed = done(ask(three(WE), ReserveOut.Preempt, "b", { type: 2, actionKey: 2n }));
    expect(nexuses(removed)).toEqual(["a"]);
    expect(removed.state.reservation?.holder).toBe("a");
    expect(told(removed)).toEqual([["c", 0x2a, 5]]);
    expect(ask(three(WE), ReserveOut.Preempt, "b", { type: WE, actionKey: 9n }).is).toBe("conflict");
    expect(ask(three(WE), ReserveOut.Preempt, "b", { type: WE, actionKey: 0n }).is).toBe("refused");
    expect(ask(three(), ReserveOut.Preempt, "b", { type: WE, actionKey: 0n }).is).toBe("refused");
  });

  test("what all registrants hold is taken with the key 0", () => {
    const all = done(ask(three(EAAR), ReserveOut.Preempt, "b", { type: WE, actionKey: 0n }));
    expect(all.state.reservation).toEqual({ type: WE, holder: "b" });
    expect(nexuses(all)).toEqual(["b"]);
    const some = done(ask(three(EAAR), ReserveOut.Preempt, "a", { type: WE, actionKey: 2n }));
    expect(some.state.reservation?.type).toBe(EAAR);
    expect(nexuses(some)).toEqual(["a"]);
    expect(
      done(ask(some.state, ReserveOut.Preempt, "a", { type: WE, actionKey: 1n })).state.reservation,
    ).toBeUndefined();
  });
});

describe("the owner of the unit ends what some nexuses have", () => {
  const end = (state: ReservationState, ...nexuses: readonly string[]) =>
    withdrawn(state, (nexus) => nexuses.includes(nexus));

  test("a registration that holds nothing, and nobody else has anything to learn", () => {
    const one = end(three(WERO), "b");
    expect([nexuses(one), done(one).state.reservation?.holder, done(one).state.generation]).toEqual([
      ["a", "c"],
      "a",
      1,
    ]);
    expect(told(one)).toEqual([["b", 0x2a, 5]]);
    expect(done(end(three(WERO), "d")).state).toEqual(three(WERO));
  });

  test("the holder's, and with it the reservation: registrants who could use it are told of the release", () => {
    const one = end(three(WERO), "a");
    expect([nexuses(one), done(one).state.reservation]).toEqual([["b", "c"], undefined]);
    expect(told(one)).toEqual([
      ["a", 0x2a, 5],
      ["b", 0x2a, 4],
      ["c", 0x2a, 4],
    ]);
    expect(told(end(three(EA), "a"))).toEqual([["a", 0x2a, 5]]);
  });

  test("what all registrants hold is there until the last of them has gone", () => {
    expect(done(end(three(EAAR), "a", "b")).state.reservation?.type).toBe(EAAR);
    expect(done(end(three(EAAR), "a", "b", "c")).state).toMatchObject({ registrations: [], reservation: undefined });
  });
});

test("REGISTER AND MOVE: the holder's alone, and never of what all registrants hold", () => {
  const to = { actionKey: 5n, destination: "d", persists: true };
  const moved = done(ask(three(WE), ReserveOut.RegisterAndMove, "a", to));
  expect(moved.state).toMatchObject({ generation: 1, persists: true, reservation: { type: WE, holder: "d" } });
  expect(keyOf(moved.state, "a")).toBe(1n);
  const gone = done(ask(three(WE), ReserveOut.RegisterAndMove, "a", { ...to, destination: "b", unregister: true }));
  expect(nexuses(gone)).toEqual(["c", "b"]);
  expect(keyOf(gone.state, "b")).toBe(5n);
  expect(ask(three(WE), ReserveOut.RegisterAndMove, "b", to).is).toBe("conflict");
  expect(ask(three(EAAR), ReserveOut.RegisterAndMove, "a", to).is).toBe("conflict");
  expect(ask(three(), ReserveOut.RegisterAndMove, "a", to).is).toBe("refused");
  expect(ask(three(WE), ReserveOut.RegisterAndMove, "a", { ...to, actionKey: 0n }).is).toBe("refused");
  expect(ask(three(WE), ReserveOut.RegisterAndMove, "a", { ...to, destination: "a" }).is).toBe("refused");
});

test("whatever is asked: who holds is registered, nobody is twice, and what is refused changes nothing", () => {
  const nexus = fc.constantFrom("a", "b", "c", "d");
  const key = fc.bigInt(0n, 3n);
  const request = fc.record({
    action: fc.integer({ min: 0, max: 7 }),
    nexus,
    type: fc.constantFrom(...Object.values(ReservationType), 0, 2),
    key,
    actionKey: key,
    persists: fc.boolean(),
    others: fc.option(fc.array(nexus, { maxLength: 3 }), { nil: undefined }),
    elsewhere: fc.option(fc.uniqueArray(nexus, { maxLength: 3 }), { nil: undefined }),
    destination: nexus,
    unregister: fc.boolean(),
    rightKey: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
      let state = NOTHING_RESERVED;
      for (const { rightKey, ...each } of requests) {
        const asked = rightKey ? { ...each, key: keyOf(state, each.nexus) ?? 0n } : each;
        // RESERVE's type is checked in its CDB.
        if (asked.action === ReserveOut.Reserve && (asked.type === 0 || asked.type === 2)) continue;
        const outcome = transition(state, asked);
        if (outcome.is !== "done") continue;
        const names = outcome.state.registrations.map((one) => one.nexus);
        expect(new Set(names).size).toBe(names.length);
        expect(outcome.state.registrations.every((one) => one.key !== 0n)).toBe(true);
        const { reservation } = outcome.state;
        if (reservation !== undefined) expect(names.some((name) => holds(reservation, name))).toBe(true);
        // Nobody is told of what they did themselves, and nobody who had no registration.
        for (const attention of outcome.attentions) {
          expect(attention.nexus).not.toBe(asked.nexus);
          expect(keyOf(state, attention.nexus)).toBeDefined();
        }
        state = outcome.state;
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});
