/** Time of this machine. `now` is its monotonic clock, which may stand still in suspend: an appliance never suspends. */

import { instant } from "../../base/units.ts";
import type { Clock } from "../clock.ts";

const NANOSECONDS_PER_MILLI = 1e6;

export function linuxClock(): Clock {
  let waiting: (() => void)[] = [];

  const runWaiting = () => {
    const due = waiting;
    waiting = [];
    for (const run of due) run();
  };

  return {
    now: () => instant(Bun.nanoseconds() / NANOSECONDS_PER_MILLI),
    wallClock: () => Date.now(),
    after(delay, run) {
      const timer = setTimeout(run, delay);
      return { cancel: () => clearTimeout(timer) };
    },
    afterTurn(run) {
      if (waiting.push(run) === 1) setImmediate(runWaiting);
    },
  };
}
