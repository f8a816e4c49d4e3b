import { expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { Senses } from "../iscsi/index.ts";
import { senseFor } from "./host-port.ts";

it("hosts are told of lost blocks only where blocks are lost, else that the LUN is not served here", () => {
  const told = (code: string, writing = true) => senseFor(new OperatingError(code, "It failed.", "Look."), writing);
  expect(told("mirror.starting")).toBe("BUSY");
  expect(told("mirror.fenced")).toBe(Senses.NotReady);
  // The writes in flight are in doubt; the journal is read again at the next start.
  expect(told("mirror.failed")).toBe(Senses.NotReady);
  expect(told("raid.unreadable", false)).toBe(Senses.UnrecoveredRead);
  expect(told("raid.failed")).toBe(Senses.WriteError);
  expect(senseFor(new Error("a bug"), true)).toBe(Senses.InternalTargetFailure);
});
