import { describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { epoch, MiB } from "../base/units.ts";
import { parseConfig } from "../config/config.ts";
import { Senses } from "../iscsi/index.ts";
import { MemoryUniverse } from "../platform/memory/memory-world.ts";
import { runCommand } from "./commands.ts";
import type { SiteEvent } from "./events.ts";
import { senseFor } from "./host-port.ts";
import { TestHost } from "./host-testing.ts";
import { Site } from "./site.ts";
import { snapshot } from "./snapshot.ts";

const FILE = "/denver.yaml";
const IQN = "iqn.2026-11.dev.antipode:prod";
const ADA = "iqn.1993-08.org.debian:01:ada";
const BOB = "iqn.1993-08.org.debian:01:bob";

const CONFIG = {
  site: { name: "denver" },
  group: "prod",
  role: "primary",
  drives: ["/a"],
  arrays: { main: { level: 1, drives: [0] } },
  volumes: { db: { array: "main", size: "4MiB", lun: 0 } },
  journal: { device: "/journal", window: "4MiB", cache: "1MiB" },
  target: { iqn: IQN, listen: ["denver:3260"] },
};

/** @param files other configurations by their paths */
async function serving(
  config: object = CONFIG,
  files: Readonly<Record<string, object>> = {},
  onEvent: (event: SiteEvent) => void = () => {},
) {
  const universe = new MemoryUniverse("hosts");
  for (const path of ["/journal", "/a"]) universe.addDrive("denver", path, 16 * MiB);
  const { world } = universe.machine("denver");
  const readConfig = (file: string) => parseConfig(JSON.stringify(file === FILE ? config : files[file]), file);
  const site = await universe.result(Site.open(world, readConfig(FILE), { readConfig, onEvent }));
  await universe.result(site.serve());
  if (site.feed.kind !== "hosts") throw new Error("a primary is fed by hosts");
  const connect = (port?: number) => TestHost.connect(universe, "ada", "denver", port);
  return { universe, site, feed: site.feed, connect };
}

/** Ada and Bob, logged in, and their unit attentions out of the way. */
async function twoHosts(connect: () => Promise<TestHost>): Promise<readonly [TestHost, TestHost]> {
  const hosts = [await connect(), await connect()] as const;
  for (const [at, name] of [ADA, BOB].entries()) {
    await hosts[at].login(name, IQN);
    await hosts[at].command([0, 0, 0, 0, 0, 0]);
  }
  return hosts;
}

describe("the target of a primary", () => {
  it("logs hosts out when another primary serves, and has them try again, here or there", async () => {
    const { universe, feed, connect } = await serving();
    const host = await connect();
    expect(await host.login(ADA, IQN)).toBe(0);
    feed.controller.fenced(epoch(9));
    expect((await host.next()).opcode).toBe(0x32);
    await universe.run(() => host.isClosed);
    expect(await (await connect()).login(ADA, IQN)).toBe(0x0301);
  });

  it("tells its hosts that LUNs are unavailable when it can't go on, and takes no more logins", async () => {
    const { universe, feed, connect } = await serving();
    const host = await connect();
    expect(await host.login(ADA, IQN)).toBe(0);
    const ready = [0, 0, 0, 0, 0, 0];
    const sense = ({ data }: { data: Uint8Array }) => [data[4], data[14], data[15]];
    await host.command(ready);
    universe.machine("denver").drive("/journal").inject({ on: "write", action: "fail" });
    const write = await host.command([0x2a, 0, 0, 0, 0, 0, 0, 0, 8, 0], { write: new Uint8Array(4096) });
    expect([sense(write), feed.controller.state.kind]).toEqual([[2, 0x04, 0x00], "failed"]);
    expect(sense(await host.command(ready))).toEqual([6, 0x2a, 0x06]);
    expect(sense(await host.command(ready))).toEqual([2, 0x04, 0x0c]);
    expect(await (await connect()).login(BOB, IQN)).toBe(0x0301);
    expect(host.isClosed).toBe(false);
  });

  it("gives each host its volumes under its LUNs, at its portals", async () => {
    const { connect } = await serving({
      ...CONFIG,
      volumes: { db: { array: "main", size: "4MiB", lun: 0 }, logs: { array: "main", size: "1MiB", lun: 1 } },
      target: {
        iqn: IQN,
        listen: ["denver:3260", "denver:3261"],
        hosts: {
          ada: { initiators: [ADA], volumes: { logs: 0 } },
          bob: { initiators: [BOB], portals: ["denver:3261"] },
        },
      },
    });
    const ada = await connect();
    expect(await ada.login(ADA, IQN)).toBe(0);
    expect(await ada.luns()).toEqual([0]);
    await ada.command([0, 0, 0, 0, 0, 0]);
    const capacity = (await ada.command([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], { read: 8 })).data;
    expect(new DataView(capacity.buffer).getUint32(0)).toBe(MiB / 512 - 1);
    expect(await (await connect()).login(BOB, IQN)).toBe(0x0202);
    const bob = await connect(3261);
    expect(await bob.login(BOB, IQN)).toBe(0);
    expect(await bob.luns()).toEqual([0, 1]);
    expect(await (await connect()).login("iqn.1993-08.org.debian:01:eve", IQN)).toBe(0x0202);
    const found = async (name: string, port?: number) => (await connect(port)).discover(name);
    expect(await found(ADA)).toEqual([
      `TargetName=${IQN}`,
      "TargetAddress=denver:3260,1",
      "TargetAddress=denver:3261,1",
    ]);
    expect(await found(BOB)).toEqual([]);
    expect(await found(BOB, 3261)).toEqual([`TargetName=${IQN}`, "TargetAddress=denver:3261,1"]);
  });

  it("takes over who may use what while it runs, and nothing else", async () => {
    const hosts = (ada: object, bob: object) => ({
      ...CONFIG,
      target: { ...CONFIG.target, hosts: { ada, bob } },
      volumes: { db: { array: "main", size: "4MiB", lun: 0 }, logs: { array: "main", size: "1MiB", lun: 1 } },
    });
    const [ada, bob] = [{ initiators: [ADA] }, { initiators: [BOB] }];
    const less = hosts({ ...ada, volumes: { logs: 1 } }, { initiators: [`${BOB}2`] });
    const files = { "/less.yaml": less, "/other.yaml": { ...less, journal: { ...CONFIG.journal, cache: "2MiB" } } };
    const { universe, site, connect } = await serving(hosts(ada, bob), files);
    const run = async (line: string) => (await universe.result(runCommand(site, line.split(" "), () => {}))).text;
    const [one, other] = [await connect(), await connect()];
    expect([await one.login(ADA, IQN), await other.login(BOB, IQN)]).toEqual([0, 0]);
    for (const lun of [0, 1]) await one.command([0, 0, 0, 0, 0, 0], { lun });
    expect(await run("reload")).toBe("Nothing changes for hosts.\n");
    await expect(run("reload /other.yaml")).rejects.toMatchObject({ code: "site.restart-needed" });
    expect(await one.luns()).toEqual([0, 1]);
    expect(await run("reload /less.yaml")).toBe("Who may use which volume is as /less.yaml has it.\n");
    const { data } = await one.command([0, 0, 0, 0, 0, 0], { lun: 1 });
    expect([data[14], data[15], await one.luns()]).toEqual([0x3f, 0x0e, [1]]);
    await universe.run(() => other.isClosed);
    expect(await (await connect()).login(BOB, IQN)).toBe(0x0202);
    expect(await (await connect()).login(`${BOB}2`, IQN)).toBe(0);
    expect(await run("reload")).toBe("Nothing changes for hosts.\n");
    expect(await run("show status")).toContain("db: LUN 0");
  });

  it("tells who is logged in, what they do, and how long it takes", async () => {
    const { universe, site, connect } = await serving();
    const run = async (line: string) => (await universe.result(runCommand(site, line.split(" "), () => {}))).text;
    expect(await run("show target")).toBe(`${IQN} at denver:3260, 0 sessions
db (LUN 0): 0 at work, 0 at the most
  reads   none
  writes  none
  others  none
  ended   0 failed, 0 refused, 0 aborted, 0 errors of storage
`);
    const host = await connect();
    await host.login(ADA, IQN);
    await host.command([0, 0, 0, 0, 0, 0]);
    const data = new Uint8Array(4096).fill(7);
    expect((await host.command([0x2a, 0, 0, 0, 0, 0, 0, 0, 8, 0], { write: data })).header.getUint8(3)).toBe(0);
    expect((await host.command([0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0], { read: 4096 })).data).toEqual(data);
    const shown = await run("show target");
    expect(shown).toMatch(/^ {2}reads {3}1, 4 KiB: /m);
    expect(shown).toMatch(
      /^ {2}writes {2}1, 4 KiB: [\d.]+ ms on average, 50 % in [\d.]+ ms, 99 % in [\d.]+ ms, [\d.]+ ms at the most$/m,
    );
    for (const line of shown.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
    expect(await run("show sessions")).toMatch(
      new RegExp(
        `^${ADA} \\(normal\\) from ada:\\d+ at denver:3260\n  3 commands, 0 at work, 4 KiB read, 4 KiB written\n$`,
      ),
    );
    const { target } = snapshot(site);
    expect(target?.volumes).toMatchObject([{ volume: "db", lun: 0, writes: { commands: 1 }, failed: 0 }]);
  });

  it("keeps what a host has reserved when its volume is taken away, says so, and has an operator end it", async () => {
    const hosts = (ada: object) => ({
      ...CONFIG,
      target: { ...CONFIG.target, hosts: { ada, bob: { initiators: [BOB] } } },
      volumes: { db: { array: "main", size: "4MiB", lun: 0 }, logs: { array: "main", size: "1MiB", lun: 1 } },
    });
    const texts: string[] = [];
    const files = { "/less.yaml": hosts({ initiators: [ADA], volumes: { logs: 1 } }) };
    const { universe, site, connect } = await serving(hosts({ initiators: [ADA] }), files, (event) => {
      if (event.kind === "session") texts.push(event.text);
    });
    const run = async (line: string) => (await universe.result(runCommand(site, line.split(" "), () => {}))).text;
    const [ada, bob] = await twoHosts(connect);
    const out = async (host: TestHost, action: number, key: number, actionKey: number) => {
      const list = new Uint8Array(24).with(7, key).with(15, actionKey);
      return (await host.command([0x5f, action, 5, 0, 0, 0, 0, 0, 24, 0], { write: list })).header.getUint8(3);
    };
    // Write exclusive for registrants: Ada's, and Bob is one.
    expect([await out(ada, 0, 0, 1), await out(bob, 0, 0, 2), await out(ada, 1, 1, 0)]).toEqual([0, 0, 0]);
    await run("reload /less.yaml");
    expect(texts.at(-1)).toMatch(new RegExp(`^${ADA},i,0x0+ holds the reservation of db, which it is not given$`));
    expect(await run("show reservations")).toMatch(/ada,i,0x0+, holds it, IS NOT GIVEN THE VOLUME\n.*bob,i,0x0+\n/);
    await expect(run(`clear registration db ${ADA}`)).rejects.toMatchObject({ code: "command.unconfirmed" });
    await expect(run("clear registration db")).rejects.toMatchObject({ code: "command.parameters" });
    expect(await run(`clear registration logs ${ADA} yes`)).toBe(
      `Nothing is registered or reserved at logs by ${ADA}.\n`,
    );
    expect(await run(`clear registration db ${ADA} yes`)).toMatch(
      /^What was there is ended:\n.*\n.*ada,i,0x0+, holds it.*\n$/,
    );
    expect(await run("show reservations")).toMatch(/^db \(LUN 0\): not reserved\n.*bob,i,0x0+\nlogs/);
    const said = texts.length;
    await run("reload");
    await run("reload /less.yaml");
    expect(texts.length).toBe(said);
  });

  it("has an operator end what a host has reserved that is gone", async () => {
    const { universe, site, connect } = await serving();
    const run = async (line: string) => (await universe.result(runCommand(site, line.split(" "), () => {}))).text;
    expect(await run("clear reservation db")).toBe("Nothing is registered or reserved at db.\n");
    await expect(run("clear reservation db02 yes")).rejects.toMatchObject({ code: "mirror.no-volume" });
    await expect(run("clear reservation db now")).rejects.toMatchObject({ code: "command.parameters" });
    const [ada, bob] = await twoHosts(connect);
    const reserve = async (action: number, key: number, actionKey: number) => {
      const list = new Uint8Array(24);
      list[7] = key;
      list[15] = actionKey;
      return (await ada.command([0x5f, action, 1, 0, 0, 0, 0, 0, 24, 0], { write: list })).header.getUint8(3);
    };
    expect([await reserve(0, 0, 1), await reserve(1, 1, 0)]).toEqual([0, 0]);
    const write = async () =>
      (await bob.command([0x2a, 0, 0, 0, 0, 0, 0, 0, 8, 0], { write: new Uint8Array(4096) })).header.getUint8(3);
    expect(await write()).toBe(0x18);
    await expect(run("clear reservation db")).rejects.toMatchObject({ code: "command.unconfirmed" });
    expect(await run("clear reservation db yes")).toMatch(
      new RegExp(
        `^What was there is ended:\ndb \\(LUN 0\\): write exclusive\n {2}0{15}1 {2}${ADA},i,0x0+, holds it\n$`,
      ),
    );
    expect(await write()).toBe(0);
    expect((await ada.command([0, 0, 0, 0, 0, 0])).data[14]).toBe(0x2a);
  });
});

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
