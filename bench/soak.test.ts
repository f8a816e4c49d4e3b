import { expect, it } from "vitest";
import { growth } from "./soak.ts";

it("compares what was resident in the second tenth with the last", () => {
  const grows = Array.from({ length: 200 }, (_, second) => 1000 + second);
  expect(growth(grows)).toEqual({ settledBytes: 1029.5, finalBytes: 1189.5 });
  expect(() => growth([1, 2, 3])).toThrow("too short");
});
