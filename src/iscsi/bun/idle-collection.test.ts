import { expect, it } from "vitest";
import { IdleCollection } from "./idle-collection.ts";

const MiB = 1024 * 1024;

function idle() {
  const timers: (() => void)[] = [];
  let collections = 0;
  const collection = new IdleCollection(
    (_, run) => timers.push(run),
    () => collections++,
  );
  return { collection, timers, elapse: () => timers.shift()?.(), collections: () => collections };
}

it("collects once nothing has come for a while", () => {
  const { collection, timers, elapse, collections } = idle();
  collection.received(100 * MiB);
  elapse();
  collection.received(1);
  elapse();
  expect(collections()).toBe(0);
  elapse();
  expect(collections()).toBe(1);
  expect(timers.length).toBe(0);
});

it("does so again after more has come, and not for little", () => {
  const { collection, timers, elapse, collections } = idle();
  for (let round = 1; round <= 3; round++) {
    for (let at = 0; at < 20; at++) collection.received(MiB);
    expect(timers.length).toBe(1);
    elapse();
    elapse();
    expect(collections()).toBe(round);
  }
  collection.received(15 * MiB);
  expect(timers.length).toBe(0);
});
