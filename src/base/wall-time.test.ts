import fc from "fast-check";
import { expect, it } from "vitest";
import { formatTime } from "./wall-time.ts";

it("writes every time as the runtime's own calendar does", () => {
  const like = (time: number) => `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC`;
  for (const time of [0, 951_782_399_999, 951_782_400_000, 1_709_164_800_000, 1_793_491_200_000, 4_107_542_399_000]) {
    expect(formatTime(time)).toBe(like(time));
  }
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (time) => {
      expect(formatTime(time)).toBe(like(time));
    }),
  );
});
