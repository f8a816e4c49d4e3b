import { expect, it } from "vitest";
import { BreakMarks } from "./break-marks.ts";

it.each([
  [[1, 2, 3], [1, 2, 3], 0],
  [[255, 0, 0], [], 1],
  [[65, 255, 0, 0, 66, 255, 0, 0], [65, 66], 2],
  [[255, 255, 65], [255, 65], 0],
  [[255, 0, 65, 66], [66], 0],
  [[255, 255, 0, 0], [255, 0, 0], 0],
])("%j is %j with %d breaks, however it is divided", (sent, data, breaks) => {
  for (let cut = 0; cut <= sent.length; cut++) {
    const marks = new BreakMarks();
    const parts = [sent.slice(0, cut), sent.slice(cut)].map((part) => marks.take(Uint8Array.from(part)));
    expect(parts.flatMap((part) => Array.from(part.data))).toEqual(data);
    expect(parts[0].breaks + parts[1].breaks).toBe(breaks);
  }
});
