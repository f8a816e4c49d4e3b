import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { terminalCases } from "../terminal.cases.ts";
import type { Terminal, TerminalHandlers } from "../terminal.ts";
import { linuxClock } from "./linux-clock.ts";
import { linuxTerminals } from "./linux-terminals.ts";
import { Pty } from "./pty-fixture.ts";
import { modesOf } from "./termios.ts";

const DEADLINE = { timeout: 10_000, interval: 5 };
const terminals = linuxTerminals(linuxClock());

let pty: Pty;
let terminal: Terminal | undefined;
let received: number[];
let hangUps: number;
const handlers: TerminalHandlers = {
  onData: (bytes) => received.push(...bytes),
  onBreak: () => {},
  onHangUp: () => hangUps++,
  onResize: () => {},
};

terminalCases("Linux", () => {
  const pair = new Pty();
  pair.watch();
  return {
    terminals,
    path: pair.path,
    missing: "/dev/pts/none",
    type: (text) => pair.type(text),
    shown: () => pair.shown,
    hangUp: () => pair.close(),
    dispose: () => pair.close(),
  };
});

beforeEach(() => {
  pty = new Pty();
  received = [];
  hangUps = 0;
});
afterEach(async () => {
  terminal?.close();
  await pty.close();
});

function modes() {
  const fd = openSync(pty.path, constants.O_RDWR | constants.O_NOCTTY);
  try {
    return Array.from(modesOf(fd) ?? []);
  } finally {
    closeSync(fd);
  }
}

it("passes every byte on as it is, in both directions, and nothing of its own", async () => {
  terminal = terminals.open(pty.path, undefined, handlers);
  pty.watch();
  const all = Uint8Array.from({ length: 256 }, (_, at) => at).filter((byte) => byte !== 0x11 && byte !== 0x13);
  pty.type(all);
  await vi.waitFor(() => expect(received).toEqual(Array.from(all)), DEADLINE);
  expect(pty.shown).toBe("");
  await terminal.write(new TextEncoder().encode("one\ntwo\r\n"));
  await vi.waitFor(() => expect(pty.shown).toBe("one\ntwo\r\n"), DEADLINE);
});

it("leaves the modes as they were, and has the speed that it was given", async () => {
  const before = modes();
  terminal = terminals.open(pty.path, 9600, handlers);
  const during = modes();
  expect(during).not.toEqual(before);
  expect(during[2] & 0o10017).toBe(0o15);
  terminal.setSpeed(115200);
  expect(modes()[2] & 0o10017).toBe(0o10002);
  terminal.close();
  expect(modes()).toEqual(before);
});

it("knows its size where the terminal has one", () => {
  terminal = terminals.open(pty.path, undefined, handlers);
  expect(terminal.size()).toBeUndefined();
  pty.resize(132, 43);
  expect(terminal.size()).toEqual({ columns: 132, rows: 43 });
});

it("holds what a slow terminal does not take yet, and sends it whole", async () => {
  terminal = terminals.open(pty.path, undefined, handlers);
  const text = Array.from({ length: 20_000 }, (_, at) => `${at}\n`).join("");
  let sent = false;
  const done = terminal.write(new TextEncoder().encode(text)).then(() => {
    sent = true;
  });
  await Promise.resolve();
  expect(sent).toBe(false);
  pty.watch();
  await done;
  await vi.waitFor(() => expect(pty.shown).toBe(text), DEADLINE);
});

it("hangs up one that takes nothing for very long", async () => {
  terminal = terminals.open(pty.path, undefined, handlers);
  for (let at = 0; at < 20; at++) void terminal.write(new Uint8Array(64 * 1024));
  expect(hangUps).toBe(1);
});

it("names what is no terminal", () => {
  const folder = mkdtempSync(join(tmpdir(), "terminal-"));
  writeFileSync(join(folder, "file"), "");
  const codeOf = (path: string | undefined) => {
    try {
      terminals.open(path, undefined, handlers).close();
    } catch (error) {
      return error instanceof Error && "code" in error ? error.code : error;
    }
  };
  expect(codeOf(join(folder, "file"))).toBe("terminal.unusable");
  expect(codeOf("/dev/null")).toBe("terminal.unusable");
  rmSync(folder, { recursive: true });
});
