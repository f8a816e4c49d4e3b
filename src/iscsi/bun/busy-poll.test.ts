import { expect, it } from "vitest";
import { BusyPoll } from "./busy-poll.ts";

function poll(millis: number) {
  let time = 0;
  const turns: (() => void)[] = [];
  const poll = new BusyPoll(millis, { now: () => time, soon: (run) => turns.push(run) });
  /** Turns of the event loop that did not sleep. */
  const awake = (until: number): number => {
    let count = 0;
    for (; turns.length > 0 && time < until; count++) {
      time++;
      turns.shift()?.();
    }
    time = Math.max(time, until);
    return count;
  };
  return { poll, awake, now: () => time };
}

it("keeps the loop awake for so long after data has come", () => {
  const { poll: busy, awake } = poll(5);
  busy.heard();
  expect(awake(100)).toBe(5);
});

it("keeps it awake as long as data comes in time", () => {
  const { poll: busy, awake, now } = poll(5);
  for (let round = 0; round < 100; round++) {
    busy.heard();
    expect(awake(now() + 3)).toBe(3);
  }
  expect(awake(now() + 100)).toBe(2);
});

it("leaves off where nothing comes, for longer each time, and looks again where something does", () => {
  const { poll: busy, awake, now } = poll(5);
  const slow = () => {
    busy.heard();
    return awake(now() + 100) > 0;
  };
  const looks = Array.from({ length: 20 }, slow);
  expect(looks.flatMap((looked, event) => (looked ? [event] : []))).toEqual([0, 2, 5, 10, 19]);
  const worst = Array.from({ length: 5000 }, slow);
  expect(worst.filter((looked) => looked).length).toBeLessThan(12);
  for (let event = 0; event < 1200; event++) {
    busy.heard();
    awake(now() + 3);
  }
  awake(now() + 100);
  expect(Array.from({ length: 3 }, slow)).toContain(true);
});

it("never looks where it is told so", () => {
  const { poll: busy, awake } = poll(0);
  busy.heard();
  expect(awake(100)).toBe(0);
});
