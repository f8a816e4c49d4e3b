import fc from "fast-check";
import { expect, it } from "vitest";
import { type Held, RangeLock } from "./range-lock.ts";

it("never grants two that conflict, and grants all in the end", async () => {
  const requests = fc.array(
    fc.record({ first: fc.nat(10), length: fc.nat(4), exclusive: fc.boolean(), order: fc.nat() }),
    { minLength: 1, maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(requests, async (list) => {
      const lock = new RangeLock();
      const active: Held[] = [];
      let granted = 0;
      const all = list.map(async ({ first, length, exclusive, order }) => {
        const held = await lock.acquire(first, first + length, exclusive);
        for (const other of active) {
          const apart = other.last < held.first || held.last < other.first;
          expect(apart || !(other.exclusive || held.exclusive)).toBe(true);
        }
        active.push(held);
        granted++;
        for (let turn = 0; turn < order % 7; turn++) await undefined;
        active.splice(active.indexOf(held), 1);
        lock.release(held);
      });
      await Promise.all(all);
      expect(granted).toBe(list.length);
    }),
  );
});

it("lets readers share, and none of them pass a writer that came before", async () => {
  const lock = new RangeLock();
  const order: string[] = [];
  const a = await lock.acquire(0, 3, false);
  const b = await lock.acquire(2, 5, false);
  const writer = Promise.resolve(lock.acquire(3, 3, true)).then((held) => {
    order.push("writer");
    return held;
  });
  const late = Promise.resolve(lock.acquire(0, 9, false)).then((held) => {
    order.push("late reader");
    return held;
  });
  const elsewhere = await lock.acquire(20, 20, true);
  lock.release(elsewhere);
  lock.release(a);
  await undefined;
  expect(order).toEqual([]);
  lock.release(b);
  lock.release(await writer);
  lock.release(await late);
  expect(order).toEqual(["writer", "late reader"]);
});
