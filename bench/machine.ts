/** What a run stands on: the machine's class and the versions of all that takes part. Names no machine. */

import { closeSync, constants, openSync, unlinkSync, writeSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import packageJson from "../package.json";
import { BenchFailure } from "./failure.ts";
import { median } from "./statistics.ts";
import type { Workspace } from "./workspace.ts";

const GiB = 1024 ** 3;
const QUESTION_DEADLINE_MS = 10_000;
/** Durable writes that are timed. */
const PROBES = 200;

/** Each program with the Debian package that has it. */
const TOOLS = { tgtd: "tgt", tgtadm: "tgt", "qemu-img": "qemu-utils", "iscsi-perf": "libiscsi-bin" } as const;

/** What builds a guest and runs it. */
const GUEST_TOOLS = {
  "qemu-system-x86_64": "qemu-system-x86",
  depmod: "kmod",
  mke2fs: "e2fsprogs",
  objdump: "binutils",
} as const;

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  /** Of the last minute before the run: what else kept the machine busy. */
  readonly load: number;
  /** One write of 4 KiB with O_DSYNC straight to the file system that is measured on: the median, and the slowest tenth. */
  readonly durableWriteMs: { readonly median: number; readonly slowTenth: number };
  readonly versions: Readonly<Record<string, string>>;
}

/**
 * @param guest whether there is to be one
 * @throws BenchFailure naming every program that is not there and the package that has it
 */
export function requireTools(guest: boolean): void {
  // Where Debian keeps tgtd, and what the PATH of users other than root leaves out.
  process.env.PATH = `${process.env.PATH}:/usr/sbin`;
  const tools: Readonly<Record<string, string>> = guest ? { ...TOOLS, ...GUEST_TOOLS } : TOOLS;
  const missing = Object.entries(tools).filter(([tool]) => Bun.which(tool, { PATH: process.env.PATH }) === null);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))];
  throw new BenchFailure(
    `${missing.map(([tool]) => tool).join(", ")} not found. Install: apt-get install ${packages.join(" ")}`,
  );
}

export async function describeMachine(workspace: Workspace): Promise<Machine> {
  const first = async (program: string, ...args: readonly string[]) =>
    (await workspace.run(program, args, QUESTION_DEADLINE_MS)).stdout.trim().split("\n")[0] ?? "";
  return {
    processor: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / GiB),
    kernel: release(),
    load: loadavg()[0],
    durableWriteMs: durableWriteMs(workspace.path("probe")),
    versions: {
      antipode: packageJson.version,
      bun: Bun.version,
      tgtd: await first("tgtd", "--version"),
      "qemu-img": (await first("qemu-img", "--version")).replace(/^qemu-img version (\S+).*$/, "$1"),
      "iscsi-perf (libiscsi)": await packageVersion(workspace, TOOLS["iscsi-perf"]),
    },
  };
}

export function machineText(machine: Machine): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB of memory, Linux ${machine.kernel}`,
    versions.join(", "),
    `load before the run ${machine.load.toFixed(1)}; one durable write of 4 KiB to this disk takes ` +
      `${machine.durableWriteMs.median.toFixed(2)} ms, one in ten at least ${machine.durableWriteMs.slowTenth.toFixed(2)} ms`,
  ].join("\n");
}

/** iscsi-perf tells no useful version of its own. */
async function packageVersion(workspace: Workspace, name: string): Promise<string> {
  if (Bun.which("dpkg-query") === null) return "of unknown version";
  const format = `\${Version}`;
  return (await workspace.run("dpkg-query", ["-W", `-f=${format}`, name], QUESTION_DEADLINE_MS)).stdout.trim();
}

function durableWriteMs(path: string): Machine["durableWriteMs"] {
  const block = Buffer.alloc(4096, 1);
  const file = openSync(path, constants.O_CREAT | constants.O_WRONLY | constants.O_DSYNC);
  const write = (at: number) => {
    const start = performance.now();
    writeSync(file, block, 0, block.length, at * block.length);
    return performance.now() - start;
  };
  const places = Array.from({ length: PROBES }, (_, at) => at);
  // The first pass allocates; the second is what a file that is already there costs.
  places.forEach(write);
  const times = places.map(write).sort((a, b) => a - b);
  closeSync(file);
  unlinkSync(path);
  return { median: median(times), slowTenth: times[Math.floor(PROBES * 0.9)] };
}
