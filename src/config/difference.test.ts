import fc from "fast-check";
import { expect, it } from "vitest";
import { difference } from "./difference.ts";

it("shows what changed with its surroundings, and leaves out the rest", () => {
  const before = "a\nb\nc\nd\ne\nf\ng\nh\ni\n";
  expect(difference(before, before)).toBe("");
  expect(difference(before, "a\nB\nc\nd\ne\nf\ng\nh\nj\n")).toBe(
    "  a\n- b\n+ B\n  c\n  d\n  ...\n  g\n  h\n- i\n+ j\n",
  );
  expect(difference("", "a\n")).toBe("+ a\n");
});

it("has every line of both, in order", () => {
  const line = fc.constantFrom("a", "b", "c", "d");
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.array(line, { maxLength: 12 }), (before, after) => {
      const text = difference(before.map((each) => `${each}\n`).join(""), after.map((each) => `${each}\n`).join(""));
      const of = (mark: string) => text.split("\n").filter((each) => each.startsWith(mark)).length;
      expect(of("+") - of("-")).toBe(after.length - before.length);
      expect(text === "").toBe(before.join() === after.join());
    }),
  );
});

it("does not look for common lines in what is far too large for a configuration", () => {
  const long = (word: string) => `${Array.from({ length: 3000 }, (_, at) => `${word}${at}`).join("\n")}\n`;
  expect(difference(long("a"), long("b")).split("\n")).toHaveLength(6001);
});
