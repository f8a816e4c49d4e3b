/** What every implementation of `Terminals` does, as cases that each of them runs in its own test. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Terminal, TerminalHandlers, Terminals } from "./terminal.ts";

export interface TerminalFixture {
  readonly terminals: Terminals;
  /** Of a terminal that nobody has open. */
  readonly path: string;
  /** Of none. */
  readonly missing: string;
  /** Somebody types on it. */
  type(text: string): void;
  /** What it shows of what was written to it. */
  shown(): string;
  hangUp(): Promise<void>;
  dispose(): Promise<void>;
}

const DEADLINE = { timeout: 10_000, interval: 5 };
const bytes = (text: string) => new TextEncoder().encode(text);

export function terminalCases(name: string, makeFixture: () => TerminalFixture): void {
  describe(`terminals: ${name}`, () => {
    let fixture: TerminalFixture;
    let terminal: Terminal | undefined;
    let received: string;
    let hangUps: number;
    const handlers: TerminalHandlers = {
      onData: (data) => {
        received += new TextDecoder().decode(data);
      },
      onBreak: () => {},
      onHangUp: () => hangUps++,
      onResize: () => {},
    };
    const open = (path = fixture.path) => {
      terminal = fixture.terminals.open(path, 9600, handlers);
      return terminal;
    };

    beforeEach(() => {
      fixture = makeFixture();
      received = "";
      hangUps = 0;
    });
    afterEach(async () => {
      terminal?.close();
      await fixture.dispose();
    });

    it("passes keys on as they come, and shows what is written and nothing else", async () => {
      const opened = open();
      fixture.type("abc\x03\r\x1b[A");
      await vi.waitFor(() => expect(received).toBe("abc\x03\r\x1b[A"), DEADLINE);
      await opened.write(bytes("one\r\n"));
      await opened.write(bytes("two"));
      await vi.waitFor(() => expect(fixture.shown()).toBe("one\r\ntwo"), DEADLINE);
      expect(opened.name).toBe(fixture.path);
    });

    it("tells once that it was hung up, and drops what is written after that", async () => {
      const opened = open();
      await fixture.hangUp();
      await vi.waitFor(() => expect(hangUps).toBe(1), DEADLINE);
      await opened.write(bytes("lost"));
      opened.setSpeed(115200);
      opened.close();
      expect(hangUps).toBe(1);
    });

    it("tells nothing after it was closed, and can be closed twice", async () => {
      const opened = open();
      opened.close();
      opened.close();
      await opened.write(bytes("lost"));
      expect([received, hangUps]).toEqual(["", 0]);
    });

    it("is one console's at a time", () => {
      const opened = open();
      expect(() => fixture.terminals.open(fixture.path, 9600, handlers)).toThrow(
        expect.objectContaining({ code: "terminal.busy" }),
      );
      opened.close();
      open();
    });

    it("names what is not there", () => {
      expect(() => open(fixture.missing)).toThrow(expect.objectContaining({ code: "terminal.missing" }));
    });
  });
}
