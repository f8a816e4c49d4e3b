import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { epoch, instant, sequence } from "../base/units.ts";
import { type LinkEvent, type LinkState, type Moment, transition } from "./link-state.ts";
import { LINK_TIMINGS } from "./timings.ts";

const position = { promised: epoch(1), lastEpoch: epoch(1), appended: sequence(4) };
const error = new OperatingError("link.lost", "Lost.", "Wait.");
const at = (now: number, dice = 0): Moment => ({ now: instant(now), dice, timings: LINK_TIMINGS });

function run(events: readonly LinkEvent[], now = 0, state: LinkState = { kind: "idle" }) {
  const actions: string[] = [];
  let next = state;
  for (const event of events) {
    const step = transition(next, event, at(now));
    next = step.state;
    actions.push(...step.actions.map((action) => action.kind));
  }
  return { state: next, actions };
}

const greetings: LinkEvent[] = [
  { kind: "start" },
  { kind: "greeted", channel: "data" },
  { kind: "welcomed", position },
  { kind: "greeted", channel: "control" },
];

describe("the way up", () => {
  it("asks the owner once both connections have greeted and the welcome is there, in any order", () => {
    const rest = greetings.slice(1);
    for (const [a, b, c] of [
      [0, 1, 2],
      [0, 2, 1],
      [2, 0, 1],
    ]) {
      const { actions } = run([greetings[0], rest[a], rest[b], rest[c]]);
      expect(actions).toEqual(["dial", "ask"]);
    }
    expect(run(greetings.slice(0, 3)).actions).toEqual(["dial"]);
  });

  it("streams, holds or gives up as the owner says", () => {
    expect(run([...greetings, { kind: "resumed", decision: sequence(5) }])).toMatchObject({
      state: { kind: "streaming", position },
      actions: ["dial", "ask", "stream"],
    });
    const held = run([...greetings, { kind: "resumed", decision: "hold" }]);
    expect(held.state.kind).toBe("holding");
    expect(run([{ kind: "stream", from: sequence(3) }], 0, held.state).state.kind).toBe("streaming");
    expect(run([...greetings, { kind: "resumed", decision: error }])).toMatchObject({
      state: { kind: "refused", error },
      actions: ["dial", "ask", "refuse", "hangUp", "wait"],
    });
  });
});

describe("the way down", () => {
  const waits = (dice: number) => {
    let state: LinkState = transition({ kind: "idle" }, { kind: "start" }, at(0)).state;
    const delays: number[] = [];
    for (let attempt = 0; attempt < 12; attempt++) {
      const lost = transition(state, { kind: "lost", error }, at(0, dice));
      for (const action of lost.actions) if (action.kind === "wait") delays.push(action.delay);
      state = transition(lost.state, { kind: "retry" }, at(0)).state;
    }
    return delays;
  };

  it("waits twice as long each time, up to the cap, with half of it left to chance", () => {
    expect(waits(0)).toEqual([50, 100, 200, 400, 800, 1600, 2500, 2500, 2500, 2500, 2500, 2500]);
    expect(waits(1 - 2 ** -32).map(Math.round)).toEqual([
      100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000, 5000,
    ]);
  });

  it("starts the back-off again only after the link was up for a while", () => {
    const up = { kind: "streaming", attempt: 6, since: instant(1000), position } as const;
    expect(run([{ kind: "lost", error }], 1000 + LINK_TIMINGS.stable - 1, up).state).toMatchObject({ attempt: 6 });
    expect(run([{ kind: "lost", error }], 1000 + LINK_TIMINGS.stable, up).state).toMatchObject({ attempt: 1 });
  });

  it("retries slowly what was refused", () => {
    const { state } = run([{ kind: "start" }, { kind: "refused", error }]);
    expect(state).toMatchObject({ kind: "refused", retryAt: LINK_TIMINGS.retryRefused / 2 });
  });
});

it("whatever happens: every fall hangs up and waits once, and what is stopped stays stopped", () => {
  const event: fc.Arbitrary<LinkEvent> = fc.constantFrom<LinkEvent>(
    ...greetings,
    { kind: "resumed", decision: "hold" },
    { kind: "resumed", decision: sequence(1) },
    { kind: "resumed", decision: error },
    { kind: "stream", from: sequence(2) },
    { kind: "lost", error },
    { kind: "refused", error },
    { kind: "retry" },
    { kind: "stop" },
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      let state: LinkState = { kind: "idle" };
      let dialled = 0;
      for (const next of events) {
        const before: LinkState = state;
        const step = transition(state, next, at(0));
        state = step.state;
        const kinds = step.actions.map((action) => action.kind);
        if (before.kind === "stopped") expect(step).toEqual({ state: before, actions: [] });
        if (kinds.includes("dial")) dialled++;
        const fell = state.kind === "waiting" || state.kind === "refused";
        if (fell && before !== state) {
          expect(kinds.filter((kind) => kind === "hangUp" || kind === "wait")).toEqual(["hangUp", "wait"]);
          dialled--;
        }
        if (state.kind === "stopped" && before !== state) expect(kinds).toEqual(["hangUp"]);
        // At most one pair of connections at a time.
        if (state.kind !== "stopped") expect(dialled).toBe(fell || state.kind === "idle" ? 0 : 1);
      }
    }),
  );
});
