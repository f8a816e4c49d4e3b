import { beforeEach, describe, expect, it } from "vitest";
import { MiB, sequence } from "../../../src/base/units.ts";
import { HISTORY_MAX } from "../../../src/journal/superblock.ts";
import { Bounds, memoryMax } from "./bounds.ts";
import { FakeSite } from "./fake-site.ts";
import { Fleet } from "./fleet.ts";

describe("the invariant bounds", () => {
  let denver: FakeSite;
  let boulder: FakeSite;
  let connections: number;
  let fleet: Fleet;
  let checker: Bounds;

  const look = () => {
    fleet.refresh();
    return checker.look();
  };

  beforeEach(() => {
    denver = new FakeSite("denver").serve(1).append(1, 7, 3);
    boulder = new FakeSite("boulder");
    denver.streamTo(boulder);
    connections = 0;
    fleet = new Fleet(() => [denver, boulder]);
    checker = new Bounds(fleet, () => connections);
  });

  it("holds for a site within all of them", () => {
    expect(look()).toBeUndefined();
  });

  it("is broken by a journal that is fuller than its ring, or out of order", () => {
    boulder.journal.usedBytes = boulder.journal.capacityBytes + 1;
    expect(look()).toMatch(/boulder: \d+ bytes of the journal/);
    boulder.journal.usedBytes = 0;
    boulder.journal.durable = sequence(1);
    expect(look()).toMatch(/boulder: retired 0, durable 1, appended 0/);
  });

  it("is broken by too long a history", () => {
    const entry = { epoch: denver.journal.lastEpoch, start: sequence(1) };
    denver.journal.history = Array.from({ length: HISTORY_MAX + 1 }, () => entry);
    expect(look()).toMatch(/epochs in the journal's history/);
  });

  it("is broken by more memory than the configuration sums up to, and by a read cache past its size", () => {
    boulder.memoryBytes = memoryMax(boulder.config, 0);
    expect(look()).toBeUndefined();
    boulder.memoryBytes++;
    expect(look()).toMatch(/bytes of the World's memory/);
    boulder.memoryBytes = 0;
    boulder.cachedBytes = boulder.config.journal.cache + 4096;
    expect(look()).toMatch(/bytes in the read cache/);
  });

  it("is broken by more bytes on a link than the next journal can take", () => {
    denver.forwards = [];
    denver.streamTo(boulder, boulder.journal.capacityBytes + 1);
    expect(look()).toMatch(/bytes that boulder has not ACKed/);
  });

  it("is broken by more host writes than sessions can have, and by more sessions than allowed", () => {
    denver.sessions = 1;
    denver.serve(1, { waiting: 144 * 768 + 17 + 1 });
    expect(look()).toMatch(/host writes under way/);
    denver.sessions = 257;
    expect(look()).toMatch(/iSCSI sessions/);
  });

  it("is broken by connections that nobody lets go of", () => {
    connections = 10_000;
    expect(look()).toMatch(/ends of connections/);
  });

  it("states a sum that is finite and no more than a few hundred megabytes for a leg", () => {
    expect(memoryMax(boulder.config, 0)).toBeLessThan(256 * MiB);
  });
});
