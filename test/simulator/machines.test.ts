/**
 * A seed is the same run in another process that is told to do without some instructions of this processor and without
 * the optimising compiler. It is one machine all the same: that two are alike is shown only by comparing traces of both.
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

/** What a processor of ten years ago would leave the C library, and a runtime without its optimising compiler. */
const LESS_CAPABLE = {
  GLIBC_TUNABLES: "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-BMI2",
  BUN_JSC_useDFGJIT: "0",
};

function traceOf(env: Readonly<Record<string, string>>): string | undefined {
  const { stdout } = spawnSync(
    process.execPath,
    [join(import.meta.dirname, "simulate.ts"), "--scenario", "power", "--seed", "5"],
    { env: { ...process.env, ...env }, encoding: "utf8", timeout: 100_000 },
  );
  return stdout.match(/^power seed 5 +([0-9a-f]{16}) .* ok$/m)?.[1];
}

it("the same seed has the same trace in another process, with fewer instructions and without the optimising compiler", () => {
  const trace = traceOf({});
  expect(trace).toMatch(/^[0-9a-f]{16}$/);
  expect(traceOf(LESS_CAPABLE)).toBe(trace);
});
