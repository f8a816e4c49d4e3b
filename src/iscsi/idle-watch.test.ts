import { expect, test } from "vitest";
import { IdleWatch } from "./idle-watch.ts";
import { IDLE_MILLIS, IDLE_WORTH_BYTES } from "./limits.ts";
import { ManualTimers } from "./testing/world.ts";

class Pool {
  retainedBytes = 0;
  inUseBytes = 0;
  trim(): void {
    this.retainedBytes = 0;
  }
}

function idle() {
  const timers = new ManualTimers();
  const [buffers, chunks] = [new Pool(), new Pool()];
  const host = { timers, buffers, chunks, memory: { idle: () => void host.tidied++ }, tidied: 0 };
  return { host, watch: new IdleWatch(host), elapse: () => timers.advance(IDLE_MILLIS) };
}

test("it is time to tidy up once nothing has come for a while", () => {
  const { host, watch, elapse } = idle();
  watch.received(IDLE_WORTH_BYTES);
  host.timers.advance(IDLE_MILLIS / 2);
  watch.received(1);
  host.timers.advance(IDLE_MILLIS / 2);
  expect(host.tidied).toBe(0);
  elapse();
  expect(host.tidied).toBe(1);
  elapse();
  expect(host.tidied).toBe(1);
});

test("what came in small portions adds up, and counts once", () => {
  const { host, watch, elapse } = idle();
  for (let round = 1; round <= 3; round++) {
    for (let half = 1; half <= 2; half++) {
      watch.received(IDLE_WORTH_BYTES / 2);
      elapse();
    }
    expect(host.tidied).toBe(round);
  }
});

test("what is kept for reuse is worth it as well, whatever little came", () => {
  const { host, watch, elapse } = idle();
  watch.received(48);
  elapse();
  expect(host.tidied).toBe(0);
  host.buffers.retainedBytes = host.chunks.retainedBytes = IDLE_WORTH_BYTES / 2;
  watch.received(48);
  elapse();
  expect([host.tidied, host.buffers.retainedBytes, host.chunks.retainedBytes]).toEqual([1, 0, 0]);
});

test("what comes free later is tidied up as well", () => {
  const { host, watch, elapse } = idle();
  host.buffers.inUseBytes = IDLE_WORTH_BYTES;
  watch.received(48);
  elapse();
  elapse();
  expect(host.tidied).toBe(0);
  host.buffers.inUseBytes = 0;
  host.buffers.retainedBytes = IDLE_WORTH_BYTES;
  elapse();
  expect(host.tidied).toBe(1);
});

test("after its end nothing is done any more, whatever still comes", () => {
  const { host, watch, elapse } = idle();
  watch.received(IDLE_WORTH_BYTES);
  watch.stop();
  elapse();
  watch.received(IDLE_WORTH_BYTES);
  elapse();
  elapse();
  expect(host.tidied).toBe(0);
});
