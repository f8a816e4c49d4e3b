import { describe, expect, it } from "vitest";
import { parseOptions } from "./options.ts";

describe("options", () => {
  it("have defaults", () => {
    expect(parseOptions([], "/d")).toEqual({
      parts: ["compare", "mirrored", "package", "digests"],
      rounds: 5,
      seconds: 3,
      dir: "/d",
      only: undefined,
      json: undefined,
      soak: undefined,
    });
    expect(parseOptions(["--only", "READ.*1$"], "/d").only?.test("4 KiB random read, depth 1")).toBe(true);
  });

  it("name parts", () => {
    expect(parseOptions(["lio", "--rounds", "2"], "/d")).toMatchObject({ parts: ["lio"], rounds: 2 });
    expect(() => parseOptions(["lyo"], "/d")).toThrow("no part lyo");
  });

  it.each([
    ["--rounds", "0"],
    ["--rounds", "x"],
    ["--rounds", "1.5"],
    ["--seconds", "0"],
    ["--seconds", "NaN"],
    ["--soak", "0"],
    ["--only", "("],
    ["--unknown", "1"],
  ])("refuse %s %s", (name, value) => {
    expect(() => parseOptions([name, value], "/d")).toThrow(name);
  });
});
