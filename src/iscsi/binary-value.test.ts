import fc from "fast-check";
import { expect, test } from "vitest";
import { formatHex, parseBinary } from "./binary-value.ts";

test("what is written in either form is read back, in any case of letters", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const base64 = Buffer.from(bytes).toString("base64");
      for (const text of [formatHex(bytes), formatHex(bytes).toUpperCase(), `0b${base64}`, `0B${base64}`])
        expect(parseBinary(text, 0, 40)).toEqual(bytes);
    }),
  );
});

test("lengths are held to", () => {
  expect(parseBinary("0x0102", 2)).toEqual(Uint8Array.of(1, 2));
  expect(parseBinary("0x0102", 3)).toBeUndefined();
  expect(parseBinary("0x0102", 0, 1)).toBeUndefined();
  expect(parseBinary("0bAQI=", 2)).toEqual(Uint8Array.of(1, 2));
  expect(parseBinary("0bAQID", 2)).toBeUndefined();
  expect(parseBinary("0x", 0, 1)).toEqual(new Uint8Array(0));
});

test.each([
  "",
  "0",
  "17",
  "0d17",
  "x01",
  "0x1",
  "0x0g",
  "0bA",
  "0bAQ",
  "0bAQ=",
  "0bAR==",
  "0bA===",
  "0bAQ==AQ==",
  "0b=AQ=",
])("%j is no binary value", (text) => {
  expect(parseBinary(text, 0, 100)).toBeUndefined();
});

test("text either is a value of the length or none, and never an error", () => {
  fc.assert(
    fc.property(fc.constantFrom("0x", "0b", ""), fc.string(), (prefix, text) => {
      expect(parseBinary(prefix + text, 0, 8)?.length ?? 0).toBeLessThanOrEqual(8);
    }),
  );
});
