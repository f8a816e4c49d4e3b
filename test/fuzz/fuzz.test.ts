/** Ten thousand changed commands and PDUs. `million.test.ts` goes on for longer. */

import { expect, test } from "vitest";
import { fuzzCommands, fuzzPdus } from "./campaign.ts";

test("5,000 changed commands leave on the volume what a model says", async () => {
  const { commands, good, failed } = await fuzzCommands(5000, () => {});
  expect(commands).toBeGreaterThanOrEqual(5000);
  expect(good).toBeGreaterThan(commands / 10);
  expect(failed).toBeGreaterThan(commands / 10);
});

test("5,000 PDUs, many of them changed, do not touch who uses another target", async () => {
  const { pdus, logins, served } = await fuzzPdus(5000, () => {});
  expect(pdus).toBeGreaterThanOrEqual(5000);
  expect(logins).toBeGreaterThan(pdus / 100);
  expect(served).toBeGreaterThan(pdus / 100);
});
