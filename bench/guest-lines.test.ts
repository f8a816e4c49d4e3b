import { describe, expect, it } from "vitest";
import { BESIDE_LIO } from "./cases.ts";
import { type GuestLine, parseGuestLines, resultOf } from "./guest-lines.ts";
import { lioTable, planOf } from "./lio.ts";

const MACHINE = { processor: "QEMU TCG CPU version 2.5+", cores: 2, memoryMiB: 1965, kernel: "6.1.0", bun: "1.4.5" };
const TARGETS = ["package", "LIO", "tgtd"];
const plan = planOf(BESIDE_LIO, { rounds: 2, seconds: 3 });

/** Of a guest that did all that was planned: of each target, so many thousand requests a second. */
function linesOf(thousands: readonly number[]): readonly GuestLine[] {
  const runs = plan.series.flatMap((_, series) =>
    [1, 2].flatMap((round) =>
      TARGETS.map((target, at): GuestLine => {
        const requestsPerSecond = thousands[at] * 1000;
        const counts = { requests: requestsPerSecond * 3, seconds: 3, requestsPerSecond };
        return { kind: "run", series, run: { target, round, ...counts, cpuSeconds: 0, peakMemoryBytes: 0 } };
      }),
    ),
  );
  return [{ kind: "machine", machine: MACHINE }, ...runs, { kind: "done" }];
}

const textOf = (lines: readonly GuestLine[]) => lines.map((line) => `${JSON.stringify(line)}\r\n`).join("");

describe("the plan of a guest", () => {
  it("has each small case once, with the client that can do it", () => {
    expect(plan.series.map(({ case: { name }, client }) => `${name}: ${client}`)).toEqual([
      "4 KiB random read, depth 1: iscsi-perf",
      "4 KiB random read, depth 32: iscsi-perf",
      "4 KiB random write, depth 1: qemu-img",
      "4 KiB random write, depth 32: qemu-img",
    ]);
  });
});

describe("what a guest says", () => {
  it("is understood as far as it is whole", () => {
    const lines = linesOf([14, 11, 5]);
    const text = textOf(lines);
    expect(parseGuestLines(text)).toEqual(lines);
    expect(parseGuestLines(text.slice(0, -5))).toEqual(lines.slice(0, -1));
    expect(parseGuestLines("")).toEqual([]);
  });

  it.each(["Kernel panic - not syncing\n", '{"kind":"run","series":0}\n', '{"kind":"other"}\n'])(
    "is not believed when it is %j",
    (text) => expect(() => parseGuestLines(text)).toThrow("can't be understood"),
  );

  it("becomes a table with the ratios to both others", () => {
    const { machine, series } = resultOf(plan, TARGETS, linesOf([14, 10, 5]));
    expect(machine).toEqual(MACHINE);
    expect(series.map(({ client, runs }) => [client, runs.length])).toEqual(
      plan.series.map(({ client }) => [client, 6]),
    );
    expect(lioTable(series)).toMatch(
      /read, depth 32 +\| iscsi-perf \| IOPS \| +14000 .* 10000 .* 5000 .* 1\.40 \| +2\.80 \|/,
    );
  });

  it("is no result without every round of every target, and the guest itself", () => {
    const lines = linesOf([14, 11, 5]);
    expect(() => resultOf(plan, TARGETS, lines.slice(1))).toThrow("what it is");
    const without = lines.filter((line) => !(line.kind === "run" && line.run.target === "LIO" && line.run.round === 2));
    expect(() => resultOf(plan, TARGETS, without)).toThrow("measured LIO in the rounds 1 of");
  });
});
