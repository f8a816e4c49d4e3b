import { expect, test } from "vitest";
import { Trace } from "./trace.ts";

function hashOf(act: (trace: Trace) => void): string {
  const trace = new Trace();
  act(trace);
  return trace.hash;
}

test("everything that an event consists of is in the hash", () => {
  const bytes = Uint8Array.from({ length: 5000 }, (_, at) => at);
  const changed = (at: number) => bytes.with(at, bytes[at] ^ 1);
  const hashes = [
    hashOf(() => {}),
    hashOf((trace) => trace.event(1, "denver", "timer")),
    hashOf((trace) => trace.event(1.001, "denver", "timer")),
    hashOf((trace) => trace.event(1, "boulder", "timer")),
    hashOf((trace) => trace.event(1, undefined, "timer")),
    hashOf((trace) => trace.event(1, "denver", "data")),
    hashOf((trace) => trace.number(1)),
    hashOf((trace) => trace.number(2 ** 40)),
    hashOf((trace) => trace.content(bytes)),
    hashOf((trace) => trace.content(bytes.subarray(1))),
    hashOf((trace) => trace.content(bytes.subarray(0, 60))),
    hashOf((trace) => trace.content(changed(0))),
    hashOf((trace) => trace.content(changed(31))),
    hashOf((trace) => trace.content(changed(2500))),
  ];
  expect(new Set(hashes).size).toBe(hashes.length);
  for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{16}$/);
  expect(hashOf((trace) => trace.content(bytes))).toBe(hashOf((trace) => trace.content(bytes.slice())));
});

test("the last events are kept, oldest first", () => {
  const trace = new Trace();
  expect(trace.lastEvents()).toEqual([]);
  trace.event(1, "denver", "timer");
  trace.event(2.5, undefined, "test");
  expect(trace.lastEvents()).toEqual(["1.000 ms  denver: timer", "2.500 ms  test"]);
  for (let count = 0; count < 100; count++) trace.event(count, undefined, "test");
  expect(trace.lastEvents()).toHaveLength(40);
  expect(trace.lastEvents().at(-1)).toBe("99.000 ms  test");
  expect(trace.lastEvents()[0]).toBe("60.000 ms  test");
  expect(trace.events).toBe(102);
});
