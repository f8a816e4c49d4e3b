import { describe, expect, it } from "vitest";
import { cpuSeconds, highWaterBytes, peakMemoryBytes, ticks } from "./usage.ts";

describe("usage", () => {
  it("reads the times whatever the program is called", () => {
    const rest = "S 1 2 2 0 -1 4194560 900 0 0 0 70 25 0 0 20 0 17 0 12345 100000 200";
    expect(ticks(`123 (tgtd) ${rest}`)).toBe(95);
    expect(ticks(`123 (a ) b (c)) ${rest}`)).toBe(95);
  });

  it("reads the peak", () => {
    expect(highWaterBytes("Name:\tx\nVmHWM:\t    5316 kB\nVmRSS:\t 1 kB\n")).toBe(5316 * 1024);
    expect(() => highWaterBytes("Name:\tkthread\n")).toThrow();
  });

  it("sees this process work", () => {
    const before = cpuSeconds([process.pid]);
    const end = performance.now() + 60;
    while (performance.now() < end);
    expect(cpuSeconds([process.pid])).toBeGreaterThan(before);
    expect(peakMemoryBytes([process.pid])).toBeGreaterThan(1024 * 1024);
  });
});
