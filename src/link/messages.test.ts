import { describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { instant } from "../base/units.ts";
import { beginHeader, FLAG_FIRST, Frame, FrameType, Header, MESSAGE_BODY_MAX, MessageNumbers } from "./frame.ts";
import { CALLS_MAX, MessageInbox, OutstandingCalls } from "./messages.ts";

function frame(tag: number, bodyBytes: number, bodyOffset: number, payload: Uint8Array, first = false): Frame {
  const made = new Frame();
  made.view = new DataView(new ArrayBuffer(Header.size));
  beginHeader(made.view, 0, FrameType.CALL, 1, payload.length, tag, first ? FLAG_FIRST : 0);
  MessageNumbers.bodyBytes.set(made.view, Header.numbers.offset, bodyBytes);
  MessageNumbers.bodyOffset.set(made.view, Header.numbers.offset, bodyOffset);
  made.type = FrameType.CALL;
  made.payload = payload;
  return made;
}

const method = new TextEncoder().encode("verify");
const part = (from: number, to: number) => Uint8Array.from({ length: to - from }, (_, at) => from + at);

describe("the inbox", () => {
  it("puts a message together, and keeps nothing of the frames it came in", () => {
    const inbox = new MessageInbox();
    const head = method.slice();
    expect(inbox.take(frame(7, 10, 0, head, true))).toBeUndefined();
    head.fill(0);
    expect(inbox.take(frame(7, 10, 0, part(0, 4)))).toBeUndefined();
    expect(inbox.take(frame(7, 10, 4, part(4, 10)))).toEqual({
      tag: 7,
      flags: FLAG_FIRST,
      head: method,
      body: part(0, 10),
    });
    expect(inbox.take(frame(8, 0, 0, method, true))).toMatchObject({ tag: 8, body: new Uint8Array(0) });
  });

  it.each<[string, string, Frame[]]>([
    ["goes on that never began", "link.protocol", [frame(7, 10, 0, part(0, 10))]],
    [
      "begins before the last one ended",
      "link.protocol",
      [frame(7, 10, 0, method, true), frame(8, 1, 0, method, true)],
    ],
    ["goes on as another", "link.protocol", [frame(7, 10, 0, method, true), frame(8, 10, 0, part(0, 10))]],
    ["changes its length", "link.protocol", [frame(7, 10, 0, method, true), frame(7, 11, 0, part(0, 11))]],
    ["leaves bytes out", "link.protocol", [frame(7, 10, 0, method, true), frame(7, 10, 1, part(1, 10))]],
    ["is longer than it said", "link.protocol", [frame(7, 10, 0, method, true), frame(7, 10, 0, part(0, 11))]],
    ["goes on with nothing", "link.protocol", [frame(7, 10, 0, method, true), frame(7, 10, 0, part(0, 0))]],
    ["is too long", "link.oversized", [frame(7, MESSAGE_BODY_MAX + 1, 0, method, true)]],
    ["is far too long", "link.oversized", [frame(7, Number.MAX_SAFE_INTEGER, 0, method, true)]],
  ])("refuses a message that %s", (_, code, frames) => {
    const inbox = new MessageInbox();
    const outcomes = frames.map((next) => inbox.take(next));
    expect(outcomes[outcomes.length - 1]).toMatchObject({ code });
    for (const earlier of outcomes.slice(0, -1)) expect(earlier).toBeUndefined();
  });
});

describe("outstanding calls", () => {
  function add(calls: OutstandingCalls, deadline: number, failed: OperatingError[] = []): number {
    return calls.add({
      method: "m",
      deadline: instant(deadline),
      resolve: () => {},
      reject: (error) => failed.push(error),
    });
  }

  it("expire one after another, once each", () => {
    const calls = new OutstandingCalls();
    const failed: OperatingError[] = [];
    add(calls, 30, failed);
    add(calls, 20, failed);
    expect(calls.expire(instant(5), "boulder")).toBe(15);
    expect(calls.expire(instant(20), "boulder")).toBe(10);
    expect(failed.map((error) => error.code)).toEqual(["link.timeout"]);
    expect(calls.expire(instant(30), "boulder")).toBeUndefined();
    calls.rejectAll(new OperatingError("link.lost", "Lost.", "Wait."));
    expect(failed.map((error) => error.code)).toEqual(["link.timeout", "link.timeout"]);
  });

  it("keep the places of expired ones until they are answered", () => {
    const calls = new OutstandingCalls();
    const ids = Array.from({ length: CALLS_MAX }, () => add(calls, 10));
    calls.expire(instant(10), "boulder");
    expect(calls.full).toBe(true);
    expect(calls.remove(ids[3])).toBeUndefined();
    expect(calls.full).toBe(false);
  });
});
