/** A seed is the same run on any machine: one with fewer instructions and another compiler does not change a bit of it. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

/** What a processor of ten years ago would leave the C library, and a runtime that optimises nothing. */
const ANOTHER_MACHINE = {
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

it("the same seed has the same trace on another machine and in another process", () => {
  const trace = traceOf({});
  expect(trace).toMatch(/^[0-9a-f]{16}$/);
  expect(traceOf(ANOTHER_MACHINE)).toBe(trace);
});
