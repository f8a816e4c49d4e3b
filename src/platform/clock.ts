import { type Instant, type Millis, millis } from "../base/units.ts";

export interface Timer {
  cancel(): void;
}

/** The only source of time. Decisions use `now`; `wallClock` is for people to read. */
export interface Clock {
  /** Monotonic; never steps, never goes back. */
  now(): Instant;
  /** Milliseconds since 1970 as this machine believes; may step at any time. */
  wallClock(): number;
  after(delay: Millis, run: () => void): Timer;
  /** Runs once, after the callbacks of the present event-loop turn: where a turn's work is submitted as one batch. */
  afterTurn(run: () => void): void;
}

/** Resolves after `delay`; rejects with the signal's reason if that is aborted first. */
export function sleep(clock: Clock, delay: Millis, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(delay, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Milliseconds from `start` until now. */
export function elapsed(clock: Clock, start: Instant): Millis {
  return millis(clock.now() - start);
}
