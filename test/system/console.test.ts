/** `antipode console` as a process on real terminals, in front of a real site. */

import { spawn } from "node:child_process";
import { closeSync, constants, existsSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { millis } from "../../src/base/units.ts";
import { Revisions } from "../../src/config/revisions.ts";
import { linuxFiles } from "../../src/platform/linux/linux-files.ts";
import { Pty } from "../../src/platform/linux/pty-fixture.ts";
import { modesOf } from "../../src/platform/linux/termios.ts";
import { alone, put } from "../conformance/sites.ts";
import { ANTIPODE, freePorts, Running, until, Workbench } from "../conformance/workbench.ts";

let bench: Workbench;
let pty: Pty;
/** Held open, so that the terminal lives on between two consoles. */
let held: number;
let port: number;

beforeEach(async () => {
  bench = new Workbench();
  pty = new Pty();
  held = openSync(pty.path, constants.O_RDWR | constants.O_NOCTTY);
  pty.watch();
  [port] = await freePorts(1);
});
afterEach(async () => {
  await bench.close();
  closeSync(held);
  await pty.close();
});

/** Types, and waits until the terminal shows what is expected after it. */
async function type(text: string, expected: string): Promise<void> {
  const from = pty.shown.length;
  if (text !== "") pty.type(text);
  await until(
    () => pty.shown.slice(from).includes(expected),
    () => `${JSON.stringify(expected)} after ${JSON.stringify(text)} in:\n${pty.shown}`,
  );
}

const modes = () => Array.from(modesOf(held) ?? []);

function start(...more: string[]): Running {
  return bench.start(ANTIPODE, ["console", "--revisions", bench.path("config"), "--dir", bench.dir, ...more]);
}

async function logIn(): Promise<void> {
  await type("", "new password: ");
  await type("correct horse\r", "the same again: ");
  await type("correct horse\r", "antipode> ");
}

describe("a serial line", () => {
  it("asks who is there, speaks to the site, and keeps a configuration that the site then runs on", async () => {
    const before = modes();
    await bench.serve(put(bench, alone({ port })));
    writeFileSync(bench.path("apply"), '#!/bin/sh\necho "carried out $1"\n', { mode: 0o755 });
    const running = start("--tty", pty.path, "--speed", "9600", "--apply", bench.path("apply"));
    await logIn();
    await type("terminal length 0\r", "antipode> ");
    await type("sh st\r", "site      alone (primary");
    await type("monitor\r", "Any key ends this view.");
    await type("q", "antipode> ");
    await type("configure\r", "antipode# ");
    await type(`load ${bench.path("alone.yaml")}\r`, "antipode# ");
    await type("commit\r", `carried out ${bench.path("config/revision-1.yaml")}`);
    await type("set group oth\x7f\x7f\x7fanother\r", "alone# ");
    await type("commit confirmed 5\r", "or it goes back to revision 1");
    await type("confirm\r", "Revision 2 is confirmed.");
    await type("exit\r", "alone> ");
    await type("exit\r", "login: ");
    await type("admin\r", "password: ");
    await type("wrong horse\r", "That is not right.");
    expect(pty.shown).not.toContain("horse");
    expect(readFileSync(bench.path("config/revision-2.yaml"), "utf8")).toContain('"group": another');
    for (const name of ["revision-1.yaml", "users.json"]) {
      expect(statSync(bench.path(`config/${name}`)).mode & 0o777).toBe(0o600);
    }
    expect(modes()).not.toEqual(before);
    expect(await running.stop("SIGTERM")).toBe(0);
    expect(modes()).toEqual(before);
    expect(running.text).toContain("admin chose the first password");
    expect(running.text).toContain('a login as "admin" was refused');
    expect(running.text).not.toContain("horse");
  });

  it("is not shared by two consoles", async () => {
    const running = start("--tty", pty.path);
    await type("", "new password: ");
    const second = start("--tty", pty.path);
    expect(await second.ends()).toBe(3);
    expect(second.text).toContain("terminal.busy");
    await running.stop("SIGTERM");
  });

  it("goes back from a commit that nobody confirmed before another process ended", async () => {
    // Whoever committed it was here ten minutes ago.
    const clock = { wallClock: () => Date.now() - 600_000 };
    const revisions = new Revisions(bench.path("config"), linuxFiles(), clock);
    const text = readFileSync(put(bench, alone({ port })), "utf8");
    await revisions.commit({ text, author: "ada", base: 0 });
    const daring = text.replace('"group": "test"', '"group": "daring"');
    await revisions.commit({ text: daring, author: "ada", base: 1, confirmWithin: millis(60_000) });
    start("--tty", pty.path);
    await until(
      () => existsSync(bench.path("config/revision-3.yaml")),
      () => `going back:\n${pty.shown}`,
    );
    expect(await revisions.read(3)).toMatchObject({ author: "antipode", text: (await revisions.read(1)).text });
  });
});

describe("the terminal that it is started from", () => {
  let here: Running | undefined;
  afterEach(async () => {
    await here?.stop("SIGKILL");
  });
  const startHere = () => {
    const args = ["console", "--revisions", bench.path("config"), "--dir", bench.dir];
    here = new Running(spawn(ANTIPODE, args, { cwd: bench.dir, stdio: [held, "pipe", "pipe"] }));
    return here;
  };

  it("has a session of the user who started it, and is left as it was", async () => {
    const before = modes();
    pty.resize(70, 10);
    const running = startHere();
    await type("", "antipode> ");
    await type("help\r", "-- more");
    await type("q", "antipode> ");
    await type("show status\r", "command.no-site");
    await type("\x04", "\r\n");
    expect(await running.ends()).toBe(0);
    expect(modes()).toEqual(before);
  });

  it("is left as it was when it is told to end", async () => {
    const before = modes();
    const running = startHere();
    await type("", "antipode> ");
    expect(modes()).not.toEqual(before);
    expect(await running.stop("SIGTERM")).toBe(0);
    expect(modes()).toEqual(before);
  });

  it("may be hung up while a commit waits to be confirmed, and that is gone back from all the same", async () => {
    // Five seconds are left.
    const clock = { wallClock: () => Date.now() - 55_000 };
    const revisions = new Revisions(bench.path("config"), linuxFiles(), clock);
    const text = readFileSync(put(bench, alone({ port })), "utf8");
    await revisions.commit({ text, author: "ada", base: 0 });
    const daring = text.replace('"group": "test"', '"group": "daring"');
    await revisions.commit({ text: daring, author: "ada", base: 1, confirmWithin: millis(60_000) });
    const running = startHere();
    await type("", "alone> ");
    await pty.close();
    expect(await running.ends()).toBe(0);
    expect(await revisions.numbers()).toEqual([3, 2, 1]);
  });

  it("has to be one", async () => {
    const { code, stderr } = await bench.antipode("console");
    expect(code).toBe(3);
    expect(stderr).toContain("terminal.none");
    const speed = await bench.antipode("console", "--tty", pty.path, "--speed", "300");
    expect(speed.code).toBe(2);
    expect(speed.stderr).toContain("usage.console");
  });
});
