import { beforeEach, describe, expect, it } from "vitest";
import { epoch } from "../../../src/base/units.ts";
import { FakeSite } from "./fake-site.ts";
import { Fleet } from "./fleet.ts";
import { SingleServer } from "./single-server.ts";

describe("the invariant single-server", () => {
  let denver: FakeSite;
  let boulder: FakeSite;
  let relay: FakeSite;
  let running: FakeSite[];
  let fleet: Fleet;
  let checker: SingleServer;

  const look = () => {
    fleet.refresh();
    return checker.look();
  };

  const promise = (site: FakeSite, of: number) => {
    site.journal.promised = epoch(of);
    return site;
  };

  beforeEach(() => {
    denver = promise(new FakeSite("denver"), 2).append(2).commit(1).serve(2, { unacknowledged: 3 });
    boulder = promise(new FakeSite("boulder"), 2);
    relay = promise(new FakeSite("relay-east"), 2);
    running = [denver, boulder, relay];
    fleet = new Fleet(() => running);
    checker = new SingleServer(fleet);
  });

  it("holds for one server after another, each in a higher epoch", () => {
    expect(look()).toBeUndefined();
    running = [denver, boulder, relay].map((site) => promise(new FakeSite(site.name), 3));
    running[0].append(3).commit(1).serve(3);
    expect(look()).toBeUndefined();
    expect(checker.last).toBe("denver");
  });

  it("is broken by another process in the same epoch", () => {
    expect(look()).toBeUndefined();
    running[0] = promise(new FakeSite("denver"), 2).append(2).commit(1).serve(2);
    expect(look()).toMatch(/epoch 2 was served by a process of denver, and is by another one of denver/);
  });

  it("is broken by a server that does not know that the start of its epoch is committed", () => {
    denver.commit(0);
    expect(look()).toMatch(/denver serves epoch 2, whose start is request 1, but knows 0 to be committed/);
  });

  it("is broken by a server that was told of a higher epoch", () => {
    expect(look()).toBeUndefined();
    denver.fencedBy(boulder, 3);
    expect(look()).toMatch(/denver serves epoch 2, though boulder has told it of epoch 3/);
  });

  it("is broken by host writes that wait for a primary that was fenced", () => {
    denver.fence(3);
    expect(look()).toBeUndefined();
    denver.fence(3, { waiting: 1 });
    expect(look()).toMatch(/denver is fenced, and 1 host writes still wait/);
  });

  it("is broken by a promise that a restart takes back", () => {
    expect(look()).toBeUndefined();
    running[1] = promise(new FakeSite("boulder"), 1);
    expect(look()).toMatch(/boulder has promised epoch 1 only, but had promised 2 before/);
    checker.release("boulder");
    expect(look()).toBeUndefined();
  });

  it("is broken by an epoch that is served although a leg has not promised it", () => {
    promise(relay, 1);
    expect(look()).toMatch(/relay-east has promised epoch 1 only/);
  });

  it("is broken by a log of an epoch that its site has not promised", () => {
    boulder.append(3);
    expect(look()).toMatch(/the log of boulder holds epoch 3/);
  });
});
