import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteCount, millis } from "../base/units.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./quantity.ts";

describe("sizes", () => {
  it.each([
    ["0B", 0],
    ["4096B", 4096],
    ["64KiB", 65536],
    ["1 MiB", 1048576],
    ["100GiB", 107374182400],
    ["8191TiB", 8191 * 2 ** 40],
  ])("%s is %d bytes", (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each([
    "",
    "100",
    "GiB",
    "100GB",
    "100gib",
    "1.5GiB",
    "-1GiB",
    "1  GiB",
    " 1GiB",
    "1GiB ",
    "1e3B",
    "0x10B",
    "8192TiB",
    "1toString",
  ])("%j is none", (text) => expect(parseSize(text)).toBeUndefined());

  it("come back from their text", () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 53 - 1 }), fc.constantFrom(1, 1024, 2 ** 20, 2 ** 30), (count, unit) => {
        const size = byteCount(Math.floor(count / unit) * unit);
        fc.pre(size < 1e15);
        expect(parseSize(formatSize(size))).toBe(size);
      }),
    );
  });
});

describe("lengths of time", () => {
  it.each([
    ["500ms", 500],
    ["3s", 3000],
    ["2 min", 120_000],
  ])("%s is %d milliseconds", (text, length) => expect(parseDuration(text)).toBe(length));

  it.each(["", "3", "3 seconds", "0.5s", "-1s", "3S", "1h"])("%j is none", (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );

  it("come back from their text", () => {
    fc.assert(
      fc.property(fc.nat(), (length) => {
        expect(parseDuration(formatDuration(millis(length)))).toBe(length);
      }),
    );
  });
});
