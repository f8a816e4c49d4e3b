import { expect, it } from "vitest";
import { bunHost } from "./host.ts";

/** Garbage that has outlived a collection, which one of what is new would leave alone. */
function oldGarbage(): readonly WeakRef<object>[] {
  const objects = Array.from({ length: 1000 }, (_, at) => ({ at }));
  Bun.gc(true);
  return objects.map((object) => new WeakRef(object));
}

/** A WeakRef keeps its object for the present turn. */
const turn = () => new Promise((resolve) => setImmediate(resolve));
const left = (garbage: readonly WeakRef<object>[]) => garbage.filter((ref) => ref.deref() !== undefined).length;

it("collects all garbage when it is idle", async () => {
  const garbage = oldGarbage();
  await turn();
  bunHost().memory.idle?.();
  expect(left(garbage)).toBeLessThan(100);
});

it("leaves that to the runtime where it is told to", () => {
  expect(bunHost({ collectsWhenIdle: false }).memory.idle).toBeUndefined();
});
