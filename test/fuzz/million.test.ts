/** A million changed commands and PDUs: as `fuzz.test.ts`, and memory does not grow over them. */

import { expect, test } from "vitest";
import { fuzzCommands, fuzzPdus, heldBytes } from "./campaign.ts";

const HALF = 500_000;
const MiB = 1024 * 1024;
/** What the engine itself may come to hold; a leak of a hundred bytes for each PDU is more. */
const GROWTH_BYTES_MAX = 32 * MiB;

/** What was held after the first tenth, and after all of it. */
async function growthOver(run: (afterRun: (sent: number) => void) => Promise<object>): Promise<number> {
  let early: number | undefined;
  const counts = await run((sent) => {
    if (sent >= HALF / 10) early ??= heldBytes();
  });
  const growth = heldBytes() - (early ?? 0);
  console.log(counts, `growth: ${(growth / MiB).toFixed(1)} MiB`);
  return growth;
}

test("half a million changed commands", async () => {
  expect(await growthOver((afterRun) => fuzzCommands(HALF, afterRun))).toBeLessThan(GROWTH_BYTES_MAX);
});

test("half a million PDUs, many of them changed", async () => {
  expect(await growthOver((afterRun) => fuzzPdus(HALF, afterRun))).toBeLessThan(GROWTH_BYTES_MAX);
});
