import { beforeEach, describe, expect, it } from "vitest";
import { sequence } from "../../../src/base/units.ts";
import { FakeSite } from "./fake-site.ts";
import { Fleet } from "./fleet.ts";
import { LogRecord } from "./log-record.ts";
import { Obligations } from "./obligations.ts";
import { Retire } from "./retire.ts";

describe("the invariant retire", () => {
  let denver: FakeSite;
  let boulder: FakeSite;
  let relay: FakeSite;
  let boston: FakeSite;
  let running: FakeSite[];
  let fleet: Fleet;
  let checker: Retire;

  const look = () => {
    fleet.refresh();
    return checker.look();
  };

  beforeEach(() => {
    denver = new FakeSite("denver").append(1, 7, 5).commit(4);
    boulder = new FakeSite("boulder").append(1, 7, 5).commit(4);
    relay = new FakeSite("relay-east").append(1, 7, 4).commit(4);
    boston = new FakeSite("boston").append(1, 7, 3);
    running = [denver, boulder, relay, boston];
    fleet = new Fleet(() => running);
    const record = new LogRecord();
    for (const head of denver.journal.requests) record.see("denver", head);
    record.commit(denver);
    checker = new Retire(fleet, record, new Obligations());
  });

  it("holds where only what is committed, stored and ahead is dropped", () => {
    denver.retire(4);
    relay.retire(3);
    expect(look()).toBeUndefined();
  });

  it("is broken by dropping what nobody knows to be committed", () => {
    boulder.commit(5).retire(5);
    expect(look()).toMatch(/boulder has retired up to 5, but nobody knows more than 4/);
  });

  it("is broken by storing what is in doubt", () => {
    boulder.pipeline.stored = sequence(5);
    expect(look()).toMatch(/boulder has stored up to 5, and knows only 4 to be committed/);
  });

  it("is broken by dropping what is not stored here", () => {
    boulder.retire(4);
    boulder.pipeline.stored = sequence(2);
    expect(look()).toMatch(/stored 2/);
  });

  it("is broken by dropping what the next site lacks", () => {
    relay.retire(4);
    expect(look()).toMatch(/boston holds requests durably up to 3 only, but relay-east has retired all up to 4/);
  });

  it("is broken by a next site that lacks it once it is back", () => {
    running = [denver, boulder, relay];
    relay.retire(4);
    expect(look()).toBeUndefined();
    running.push(boston);
    expect(look()).toMatch(/boston holds requests durably up to 3 only/);
  });
});
