/** `antipode demo` as people run it: one command that brings everything up, tells of a site that ends, and goes on later. */

import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bound, COMMAND, freeDemoPort, run, SITES, succeed, until } from "./harness.ts";

const DEADLINE_MS = 90_000;

let dir: string;
let port: number;
let demo: { child: ChildProcess; said: () => string } | undefined;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "antipode-demo-"));
  port = await freeDemoPort();
});
afterAll(async () => {
  // Its sites end with it only where it is told to stop.
  if (demo !== undefined) await stop("SIGTERM");
  rmSync(dir, { recursive: true, force: true });
});

function options(size: string): string[] {
  return ["demo", "--dir", `${dir}/demo`, "--port", `${port}`, "--size", size, "--journal", "64MiB"];
}

async function start(): Promise<void> {
  const child = bound(COMMAND, options("64MiB"), ["ignore", "pipe", "pipe"]);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
  }
  demo = { child, said: () => text };
  await until("the demo is up", DEADLINE_MS, () => text.includes("LUN 0 is up") || text);
}

async function stop(signal: "SIGINT" | "SIGTERM"): Promise<number | null> {
  const child = demo?.child;
  demo = undefined;
  if (child === undefined) throw new Error("no demo runs");
  child.kill(signal);
  await until("the demo ends", DEADLINE_MS, () => child.exitCode !== null || child.signalCode !== null);
  return child.exitCode;
}

/** The pid of one of its sites. */
function pidOf(site: string): number {
  const found = sitePids().get(site);
  if (found === undefined) throw new Error(`no process of ${site}`);
  return found;
}

/** The demo's children, by the site whose configuration each was given. */
function sitePids(): Map<string, number> {
  const parent = demo?.child.pid;
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8")
    .split(" ")
    .filter(Boolean)
    .map(Number);
  return new Map(
    children.flatMap((pid) => {
      const site = SITES.find((name) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`/${name}.yaml`));
      return site === undefined ? [] : [[site, pid]];
    }),
  );
}

const url = () => `iscsi://127.0.0.1:${port}/iqn.2026-11.dev.antipode:demo/0`;
const io = (command: string) => succeed("qemu-io", ["-f", "raw", "-c", command, url()], DEADLINE_MS);

describe("the demo", () => {
  it("brings up every site, each in its own process, and LUN 0 for initiators", { timeout: DEADLINE_MS }, async () => {
    await start();
    expect(new Set(sitePids().keys())).toEqual(new Set(SITES));
    expect(await succeed("iscsi-ls", ["-s", `iscsi://127.0.0.1:${port}`], DEADLINE_MS)).toMatch(
      /Lun:0 +Type:DIRECT_ACCESS/,
    );
    await io("write -P 0x5a 4096 64k");
  });

  it("tells of a site that ends, and takes it back", { timeout: DEADLINE_MS }, async () => {
    process.kill(pidOf("pueblo"), "SIGKILL");
    await until("it is told", DEADLINE_MS, () => demo?.said().includes("pueblo ended by SIGKILL") === true);
    const again = bound(COMMAND, ["serve", `${dir}/demo/pueblo.yaml`], ["ignore", "ignore", "ignore"]);
    try {
      await io("write -P 0x5b 131072 64k");
    } finally {
      again.kill("SIGTERM");
      await until("the site ends", DEADLINE_MS, () => again.exitCode !== null);
    }
  });

  it("stops all on Ctrl-C, and goes on where it stopped", { timeout: 2 * DEADLINE_MS }, async () => {
    const pids = [...sitePids().values()];
    expect(await stop("SIGINT")).toBe(0);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
    await start();
    await io("read -P 0x5a 4096 64k");
    await io("read -P 0x5b 131072 64k");
    expect(await stop("SIGTERM")).toBe(0);
  });

  it("does not start over a demo with other options", { timeout: DEADLINE_MS }, async () => {
    const { code, stderr } = await run(COMMAND, options("128MiB"), DEADLINE_MS);
    expect(code).toBe(2);
    expect(stderr).toContain("is from a demo with other options");
  });
});
