import { beforeEach, describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { Revisions } from "../config/revisions.ts";
import { MemoryFiles } from "../platform/memory/memory-files.ts";
import { MemoryUniverse } from "../platform/memory/memory-world.ts";
import type { Appliance } from "./appliance.ts";
import { supportFiles } from "./support-bundle.ts";
import { testAppliance, typed } from "./testing.ts";

const NEVER = new AbortController().signal;
const SECRETS = ['hunter-of-"old', "correct horse", "1234567890"];

let universe: MemoryUniverse;
let files: MemoryFiles;
let parts: Pick<Appliance, "clock" | "files" | "revisions">;

beforeEach(async () => {
  universe = new MemoryUniverse("bundle");
  const { clock } = universe.world("boston");
  files = new MemoryFiles();
  // Of a version that has secrets in its schema: what is committed there is not checked here.
  const revisions = new Revisions("/config", files, clock);
  Object.assign(revisions, { check: () => undefined });
  parts = { clock, files, revisions };
  await revisions.commit({
    text: `site: { name: boston } # old\ntarget: { chap: { user: ada, secret: 'hunter-of-"old' } }\n`,
    author: "ada",
    comment: "first",
    base: 0,
  });
  await revisions.commit({
    text: `site: { name: boston }\ntarget: { chap: { secret: correct horse, password: [ 1234567890 ] }, other: { secret: x } }\n`,
    author: "bob",
    base: 1,
  });
});

async function gather(more: Partial<Appliance> = {}): Promise<Readonly<Record<string, string>>> {
  const gathered = supportFiles(testAppliance({ ...parts, ...more }), NEVER);
  const found = await universe.result(gathered);
  return Object.fromEntries(Array.from(found, ([name, content]) => [name, new TextDecoder().decode(content)]));
}

describe("a support bundle", () => {
  it("has what the site, the machine and the kernel say, the configurations and the logs", async () => {
    files.contents.set("/log/site.log", typed("up\nserving\n"));
    const found = await gather({
      ask: async (words) => ({ value: { state: "SERVING" }, text: `answer to ${words.join(" ")}\n`, exitCode: 0 }),
    });
    expect(Object.keys(found)).toEqual([
      "about.txt",
      "site/status.json",
      "site/show-status.txt",
      "site/show-journal.txt",
      "site/show-mirror.txt",
      "site/show-array.txt",
      "site/show-sessions.txt",
      "site/show-target.txt",
      "site/show-reservations.txt",
      "machine.json",
      "firmware.txt",
      "kernel.txt",
      "configuration/revision-2.yaml",
      "configuration/revision-1.yaml",
      "log/site.log",
    ]);
    expect(found["about.txt"]).toMatch(/^2026-11-01 .* UTC\nAntipode 1\.2\.3/);
    expect(JSON.parse(found["site/status.json"])).toEqual({ state: "SERVING" });
    expect(found["site/show-mirror.txt"]).toBe("answer to show mirror\n");
    expect(JSON.parse(found["machine.json"]).drives[2].path).toBe("/dev/disk/by-id/virtio-a");
    expect(found["configuration/revision-1.yaml"]).toMatch(/^# 2026-11-01 .* ada first\n/);
    expect(found["configuration/revision-1.yaml"]).toContain("# old");
    expect(found["log/site.log"]).toBe("up\nserving\n");
  });

  it("has no secret, wherever it may have got to", async () => {
    const spilt = SECRETS.map((secret) => `${secret} ${JSON.stringify({ secret })}\n`).join("");
    files.contents.set("/log/site.log", typed(spilt));
    files.contents.set("/config/users.json", typed("never read"));
    const found = await gather({
      ask: async () => ({ value: { spilt }, text: spilt, exitCode: 0 }),
      kernelMessages: async () => spilt,
      describe: async () => spilt,
      look: async () => ({ drives: [], cards: [], watchdog: spilt }),
    });
    const all = JSON.stringify(found);
    for (const secret of SECRETS) {
      expect(Object.values(found).join()).not.toContain(secret);
      expect(all).not.toContain(secret);
      expect(all).not.toContain(JSON.stringify(secret).slice(1, -1));
    }
    expect(found["log/site.log"]).toContain("(hidden)");
    expect(all).not.toContain("never read");
  });

  it("tells what can't be had in its place, and does not wait for a frozen site", async () => {
    const found = await gather({
      ask: (_words, _progress, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      look: () => Promise.reject(new OperatingError("drive.io", "It is broken.", "Mend it.")),
    });
    expect(found["site/status.json"]).toContain("control.silent");
    expect(found["machine.json"]).toContain("drive.io");
    expect(found["kernel.txt"]).toBe("Linux\n");
  });

  it("has the end of a long log, from the start of a line, and a bound over all", async () => {
    const line = `${"x".repeat(1023)}\n`;
    const log = typed(line.repeat(3 * 1024));
    for (let at = 10; at < 60; at++) files.contents.set(`/log/site.log.${at}`, log);
    const found = await gather();
    expect(found["log/site.log.10"].length).toBe(2 * 2 ** 20 - 1024);
    expect(found["log/site.log.10"].startsWith(line)).toBe(true);
    const bytes = Object.values(found).reduce((sum, text) => sum + text.length, 0);
    expect(bytes).toBeLessThan(65 * 2 ** 20);
    expect(found["left-out.txt"]).toContain("log/site.log.59: ");
  });
});
