import { beforeEach, describe, expect, it } from "vitest";
import { sequence } from "../../../src/base/units.ts";
import { FakeSite } from "./fake-site.ts";
import { Fleet } from "./fleet.ts";
import { LogPrefix } from "./log-prefix.ts";
import { LogRecord } from "./log-record.ts";
import { Obligations } from "./obligations.ts";

describe("the invariant log-prefix", () => {
  let denver: FakeSite;
  let boulder: FakeSite;
  let relay: FakeSite;
  let boston: FakeSite;
  let running: FakeSite[];
  let record: LogRecord;
  let fleet: Fleet;
  let checker: LogPrefix;

  const look = () => {
    fleet.refresh();
    return checker.look();
  };

  beforeEach(() => {
    denver = new FakeSite("denver").serve(1).append(1, 7, 5);
    boulder = new FakeSite("boulder").append(1, 7, 5);
    boston = new FakeSite("boston").append(1, 7, 3);
    relay = new FakeSite("relay-east").append(1, 7, 4).streamTo(boston);
    denver.streamTo(boulder).streamTo(relay);
    running = [denver, boulder, relay, boston];
    fleet = new Fleet(() => running);
    record = new LogRecord();
    checker = new LogPrefix(fleet, record, new Obligations());
  });

  it("holds where every log is a prefix of the one before it", () => {
    denver.commit(4);
    expect(look()).toBeUndefined();
    denver.append(1, 8);
    expect(look()).toBeUndefined();
  });

  it("is broken by another request with the same sequence and epoch", () => {
    boulder.cut(4).append(1, 8);
    expect(look()).toMatch(/sequence 5 of epoch 1 .* at boulder/);
  });

  it("is broken by a request that was seen elsewhere before its site went away", () => {
    expect(look()).toBeUndefined();
    running = [boston];
    boston.append(1, 9);
    expect(look()).toMatch(/sequence 4 of epoch 1/);
  });

  it("is broken by a request that is not what its host wrote", () => {
    expect(look()).toBeUndefined();
    denver.append(1, 8);
    const head = denver.journal.requests[5];
    denver.admit({ ...head, checksums: Uint32Array.of(9) });
    expect(look()).toMatch(/sequence 6 of epoch 1 .* at denver, but .* at the hosts of denver/);
  });

  it("knows a request that came and went between two looks", () => {
    for (const site of running) site.cut(3).commit(3);
    expect(look()).toBeUndefined();
    for (const site of running) site.append(1, 8);
    denver.admit(denver.journal.requests[3]);
    for (const site of running) site.commit(4).retire(4);
    expect(look()).toBeUndefined();
    expect({ floor: record.floor, gaps: record.gaps }).toEqual({ floor: 4, gaps: 0 });
  });

  it("is broken by a site that restarts without what was committed", () => {
    denver.commit(4);
    expect(look()).toBeUndefined();
    running = [denver, new FakeSite("boulder").append(1, 7, 3), relay, boston];
    expect(look()).toMatch(/boulder holds requests durably up to 3 only/);
  });

  it("is broken by a commit that a leg's journal does not have", () => {
    relay.journal.durable = sequence(3);
    denver.commit(4);
    expect(look()).toMatch(/relay-east holds requests durably up to 3 only/);
  });

  it("is broken by a commit that the end of a leg lacks, where the leg always acknowledged at its end", () => {
    relay.acknowledgeAtEnd();
    denver.commit(4);
    expect(look()).toMatch(/boston holds requests durably up to 3 only/);
  });

  it("asks the end of a leg for nothing that was committed when its relay point acknowledged by itself", () => {
    denver.commit(4);
    expect(look()).toBeUndefined();
    relay.acknowledgeAtEnd();
    expect(look()).toBeUndefined();
  });

  it("is broken by a committed request that a later epoch replaces", () => {
    denver.commit(4);
    expect(look()).toBeUndefined();
    boulder.cut(3).append(2, 7, 2);
    expect(look()).toMatch(/boulder has a request of epoch 2 at sequence 4, but the one of epoch 1 was committed/);
  });

  it("is broken by a relay point that forwards what is not durable with it", () => {
    relay.journal.durable = sequence(2);
    expect(look()).toMatch(/boston has requests up to 3, relay-east may send up to 2 only/);
  });

  it("is broken by an ACK of what is not durable", () => {
    denver.streamTo(boulder, 0, 1);
    expect(look()).toMatch(/denver counts boulder up to 6, which has 5 durably/);
  });

  it("is broken by a log whose epochs go back", () => {
    boulder.cut(3).append(2).append(1);
    expect(look()).toMatch(/goes back to epoch 1/);
  });

  it("is broken by a site that streams on after another history", () => {
    boulder.cut(4).append(2);
    expect(look()).toMatch(/boulder has a request of epoch 2 at sequence 5, denver one of epoch 1/);
  });

  it("lets what is in doubt be cut and replaced", () => {
    denver.commit(4);
    expect(look()).toBeUndefined();
    denver.cut(4).append(2, 9);
    boulder.cut(4).append(2, 9);
    expect(look()).toBeUndefined();
  });

  it("forgets what every site has retired", () => {
    for (const site of running) site.cut(3).commit(3);
    expect(look()).toBeUndefined();
    for (const site of running.slice(1)) site.retire(3);
    expect(look()).toBeUndefined();
    expect(record.floor).toBe(0);
    denver.retire(3);
    expect(look()).toBeUndefined();
    expect({ floor: record.floor, gaps: record.gaps }).toEqual({ floor: 3, gaps: 0 });
  });
});
