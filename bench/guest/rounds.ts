/**
 * The program of the guest that `npm run bench -- lio` boots: brings three targets up, all over one file, and measures
 * them in turn, by the same clients and the same measurement as the other parts. What it finds goes to the host line by line, as
 * guest-lines.ts has them; the last line always says how it ended.
 *
 *   bun rounds.ts PLAN LINE DISK
 */

import { openSync, readFileSync, writeSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { CLIENTS } from "../cases.ts";
import { iscsiPerf } from "../clients.ts";
import type { GuestLine, GuestMachine, GuestPlan } from "../guest-lines.ts";
import { LioTarget } from "../lio-target.ts";
import { fill, measure } from "../measure.ts";
import { PACKAGE_NAME } from "../package.ts";
import { PackageTarget } from "../package-target.ts";
import type { Target } from "../target.ts";
import { Tgtd } from "../tgtd.ts";
import { makeCachedVolumeFile } from "../volume-file.ts";
import { Workspace } from "../workspace.ts";

const MiB = 1024 * 1024;
/** So that requests of iscsi-perf, which begin at any logical block, are aligned as those of hosts are. */
const BLOCK_BYTES = iscsiPerf.blockBytes;

const [planFile, lineDevice, disk] = process.argv.slice(2);
const lines = openSync(lineDevice, "a");
const say = (line: GuestLine) => void writeSync(lines, `${JSON.stringify(line)}\n`);

async function rounds(plan: GuestPlan, workspace: Workspace): Promise<void> {
  const file = makeCachedVolumeFile(join(disk, "volume"), plan.volumeBytes);
  const targets: readonly Target[] = [
    await PackageTarget.start(workspace, PACKAGE_NAME, file, BLOCK_BYTES),
    await LioTarget.start(file, BLOCK_BYTES),
    await Tgtd.start(workspace, file, BLOCK_BYTES, "cached"),
  ];
  for (const target of targets) await fill(workspace, target, plan.volumeBytes);
  for (const [at, { case: measured, client: name }] of plan.series.entries()) {
    const client = CLIENTS.find((each) => each.name === name);
    if (client === undefined) throw new Error(`no client ${name}`);
    await measure(workspace, targets, measured, client, plan, (run) => say({ kind: "run", series: at, run }));
  }
  for (const target of targets) await target.stop();
}

function machine(): GuestMachine {
  const processors = cpus();
  return {
    processor: processors[0]?.model ?? "unknown",
    cores: processors.length,
    memoryMiB: Math.round(totalmem() / MiB),
    kernel: release(),
    bun: Bun.version,
  };
}

try {
  say({ kind: "machine", machine: machine() });
  const plan: GuestPlan = JSON.parse(readFileSync(planFile, "utf8"));
  const workspace = new Workspace("/run");
  await rounds(plan, workspace);
  await workspace.close();
  say({ kind: "done" });
} catch (error) {
  say({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
  throw error;
}
