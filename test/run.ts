/**
 * Runs the type check, the lint and the tests, and ends with one line of true counts over all of them:
 * `N passed, N failed, N skipped`. A check counts as one test; so does a test file that does not load, and a
 * run that ends badly without naming a failed test.
 *
 *   bun test/run.ts [--quick | --image-full] [what vitest takes: file filters, -t NAME, …]
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { type Counts, sum, tally } from "./tally.ts";

const root = join(import.meta.dirname, "..");
/** The tiers that each option runs, as vitest's names of projects; `!` is all but that. */
const TIERS = {
  all: ["!image-full"],
  "--quick": ["unit", "simulator"],
  "--image-full": ["image-boot", "image", "image-full"],
} as const;
/** Folder of this run's report. */
const work = mkdtempSync(join(tmpdir(), "antipode-test-"));

let running: ChildProcess | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    running?.kill(signal);
    rmSync(work, { recursive: true, force: true });
    process.exit(128 + constants.signals[signal]);
  });
}

/** @returns the exit code; 1 for a program that does not start or is killed */
function run(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    running = spawn(program, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
    running.once("error", (error) => {
      console.error(`${program}: ${error.message}`);
      resolve(1);
    });
    running.once("exit", (code) => resolve(code ?? 1));
  });
}

async function check(name: string, program: string, ...args: string[]): Promise<Counts> {
  console.log(`\n── ${name}`);
  const passed = (await run(join(root, "node_modules/.bin", program), args)) === 0;
  console.log(passed ? `${name}: passed` : `${name}: failed`);
  return { passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 };
}

async function vitest(args: readonly string[]): Promise<Counts> {
  console.log("\n── tests");
  const report = join(work, "report.json");
  const exitCode = await run(process.execPath, [
    "--bun",
    join(root, "node_modules/.bin/vitest"),
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
    ...args,
  ]);
  let text: string | undefined;
  try {
    text = readFileSync(report, "utf8");
  } catch {
    console.error("tests: vitest left no report");
  }
  return tally(text, exitCode);
}

try {
  const args = process.argv.slice(2);
  const chosen = (["--quick", "--image-full"] as const).find((option) => args.includes(option)) ?? "all";
  const passedOn = args.filter((arg) => arg !== chosen);
  const tiers = TIERS[chosen].map((tier) => `--project=${tier}`);
  const counts = sum([
    await check("type check", "tsc", "--noEmit"),
    await check("lint and format", "biome", "check", "--error-on-warnings"),
    await vitest([...tiers, ...passedOn]),
  ]);
  console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
