import { expect, it } from "vitest";
import { growth } from "./soak.ts";

it("compares what was resident after a tenth with the end", () => {
  const grows = Array.from({ length: 200 }, (_, second) => 1000 + second);
  expect(growth(grows)).toEqual({ settledBytes: 1024.5, finalBytes: 1194.5 });
  expect(() => growth([1, 2, 3])).toThrow("too short");
});
