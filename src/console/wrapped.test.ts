import { expect, it } from "vitest";
import { wrapped } from "./wrapped.ts";

it.each([
  ["one two three", 7, "one two\nthree"],
  ["one two three", 80, "one two three"],
  ["  one two\nthree\n", 6, "  one\ntwo\nthree\n"],
  ["unbreakable", 4, "unbreakable"],
  ["a unbreakable b", 4, "a\nunbreakable\nb"],
  ["", 4, ""],
])("%j in %i columns", (text, columns, expected) => expect(wrapped(text, columns)).toBe(expected));
