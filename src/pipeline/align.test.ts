import { describe, expect, it } from "vitest";
import { epoch, type Sequence, sequence } from "../base/units.ts";
import { align, resumeFrom } from "./align.ts";
import type { LogPosition } from "./history.ts";

function position(appended: number, retired: number, ...starts: readonly [epoch: number, start: number][]) {
  const history = starts.map(([of, start]) => ({ epoch: epoch(of), start: sequence(start) }));
  const lastEpoch = history.at(-1)?.epoch ?? epoch(0);
  const counts = { appended: sequence(appended), retired: sequence(retired), committed: sequence(retired) };
  return { promised: lastEpoch, lastEpoch, history, ...counts } satisfies LogPosition;
}

/** A next site that answers with its position, and what it and its link were then told. */
class FakeNext {
  readonly remote = "boston";
  readonly told: string[] = [];

  constructor(private readonly theirs: LogPosition) {}

  async call(method: string, body: Uint8Array): Promise<Uint8Array> {
    if (method === "position") return new TextEncoder().encode(JSON.stringify(this.theirs));
    this.told.push(`${method} ${new TextDecoder().decode(body)}`);
    return new Uint8Array(0);
  }
  stream(from: Sequence): void {
    this.told.push(`stream from ${from}`);
  }
  cut(to: Sequence): void {
    this.told.push(`new session after ${to}`);
  }
}

describe("resuming a stream", () => {
  const own = position(20, 5, [1, 1], [3, 15]);

  it("goes on after the next site's last request, where that is one of ours", () => {
    expect(resumeFrom(own, { lastEpoch: epoch(1), appended: sequence(14) })).toBe(15);
    expect(resumeFrom(own, { lastEpoch: epoch(3), appended: sequence(20) })).toBe(21);
  });

  it("does not where it is of another epoch, beyond our end, or before the journal's start", () => {
    expect(resumeFrom(own, { lastEpoch: epoch(1), appended: sequence(15) })).toBeUndefined();
    expect(resumeFrom(own, { lastEpoch: epoch(2), appended: sequence(16) })).toBeUndefined();
    expect(resumeFrom(own, { lastEpoch: epoch(3), appended: sequence(21) })).toBeUndefined();
    expect(resumeFrom(own, { lastEpoch: epoch(1), appended: sequence(4) })).toBeUndefined();
  });
});

describe("bringing the next site in line", () => {
  it("streams at once where nothing has to be cut", async () => {
    const next = new FakeNext(position(12, 0, [1, 1]));
    await align(next, () => position(20, 5, [1, 1], [3, 15]));
    expect(next.told).toEqual(["stream from 13"]);
  });

  it("streams in a new session after a cut, since the old one's ACKs may count what was dropped", async () => {
    const next = new FakeNext(position(18, 0, [1, 1]));
    await align(next, () => position(20, 5, [1, 1], [3, 15]));
    expect(next.told).toEqual(['cut {"to":14}', "new session after 14"]);
  });

  it("gives up where the journal no longer reaches back to what both have", async () => {
    const next = new FakeNext(position(3, 0, [1, 1]));
    const outcome = align(next, () => position(20, 5, [1, 1]));
    await expect(outcome).rejects.toMatchObject({ code: "mirror.resync-needed" });
    expect(next.told).toEqual([]);
  });
});
