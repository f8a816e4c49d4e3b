import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { epoch, sequence } from "../base/units.ts";
import { epochAt, isAhead, type LogPosition, sharedPoint } from "./history.ts";

function log(appended: number, ...starts: readonly (readonly [epoch: number, start: number])[]) {
  return {
    appended: sequence(appended),
    history: starts.map(([of, start]) => ({ epoch: epoch(of), start: sequence(start) })),
  };
}

describe("the point up to which two logs agree", () => {
  it("is the end of the shorter one where one continues the other", () => {
    expect(sharedPoint(log(90, [1, 1]), log(120, [1, 1], [2, 101]))).toBe(90);
  });

  it("is where the newer epoch began, for a site that went on in the older one", () => {
    expect(sharedPoint(log(130, [1, 1]), log(120, [1, 1], [2, 101]))).toBe(100);
  });

  it("is not the newer of two epochs that began at different places", () => {
    expect(sharedPoint(log(120, [1, 1], [3, 105]), log(110, [1, 1], [3, 101]))).toBe(100);
  });

  it("is nothing for logs with no epoch in common", () => {
    expect(sharedPoint(log(10, [1, 1]), log(10, [2, 1]))).toBe(0);
    expect(sharedPoint(log(0), log(10, [2, 1]))).toBe(0);
  });

  it("is what two logs really have in common, whatever they went through", () => {
    // Logs as lists of epochs, one a request; logs that share a prefix and then part in different epochs.
    const tail = (first: number) =>
      fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 6 }).map((steps) => {
        let of = first;
        return steps.map((step) => {
          of += step * 2;
          return of;
        });
      });
    fc.assert(
      fc.property(tail(1), tail(101), tail(102), (prefix, left, right) => {
        const a = [...prefix, ...left];
        const b = [...prefix, ...right];
        let shared = 0;
        while (shared < a.length && shared < b.length && a[shared] === b[shared]) shared++;
        const describe = (epochs: readonly number[]) =>
          log(
            epochs.length,
            ...epochs.flatMap((of, at): [number, number][] => (epochs[at - 1] === of ? [] : [[of, at + 1]])),
          );
        expect(sharedPoint(describe(a), describe(b))).toBe(shared);
      }),
    );
  });
});

describe("a history of epochs", () => {
  it("tells the epoch of a sequence, 0 before the first on record", () => {
    const { history } = log(20, [4, 5], [7, 11]);
    expect([4, 5, 10, 11, 20].map((at) => epochAt(history, sequence(at)))).toEqual([0, 4, 4, 7, 7]);
  });

  it("puts a later epoch ahead of a longer log", () => {
    const at = (lastEpoch: number, appended: number) =>
      ({ ...log(appended), lastEpoch: epoch(lastEpoch) }) as unknown as LogPosition;
    expect(isAhead(at(2, 10), at(1, 99))).toBe(true);
    expect(isAhead(at(2, 10), at(2, 11))).toBe(false);
    expect(isAhead(at(2, 10), at(2, 10))).toBe(false);
  });
});
