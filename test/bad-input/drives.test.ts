/** Drives that are missing, foreign, blank, exchanged or in use. */

import { copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { qemuIo, tool } from "../conformance/initiator.ts";
import { alone, type Config, put, urlOf } from "../conformance/sites.ts";
import { freePorts, until, Workbench } from "../conformance/workbench.ts";
import { contents, EXIT, expectRefusal } from "./refusal.ts";

const MiB = 1024 * 1024;
const DRIVES = ["alone-drive-0", "alone-drive-1", "alone-drive-2"];
const FILES = [...DRIVES, "alone-journal"];

let bench: Workbench;
let port: number;
let config: Config;
/** As `config`, but no file is made where one is missing, as it is with real drives. */
let strict: string;

beforeEach(async () => {
  bench = new Workbench();
  [port] = await freePorts(1);
  config = alone({ port, level: 5, drives: 3 });
  strict = put(bench, { ...config, drives: DRIVES, journal: { device: "alone-journal" } });
});
afterEach(() => bench.close());

/** A site of three drives with data, stopped in order. */
async function filled(): Promise<void> {
  const site = await bench.serve(put(bench, config, "first"));
  await qemuIo(bench, urlOf(port), "write -P 0x31 0 4M", "write -P 0x32 4M 4M");
  expect(await site.stop()).toBe(0);
}

/** Serves, and finds all that `filled` wrote. @returns the array's state as shown to the operator */
async function holdsAll(file = strict): Promise<string> {
  const site = await bench.serve(file);
  await qemuIo(bench, urlOf(port), "read -P 0x31 0 4M", "read -P 0x32 4M 4M");
  const state = (await bench.antipode("ctl", "--dir", ".", "show", "array")).stdout;
  expect(await site.stop()).toBe(0);
  return state;
}

/** Waits until all that the journal holds is in the array too. */
async function stored(): Promise<void> {
  const journal = async () => {
    const { stdout } = await bench.antipode("ctl", "--json", "--dir", ".", "show", "journal");
    return JSON.parse(stdout) as { stored: number; appended: number };
  };
  const { appended } = await journal();
  await until(
    async () => (await journal()).stored >= appended,
    () => `request ${appended} in the array`,
  );
}

const serve = (file = strict) => bench.antipode("serve", file);
const blank = (name: string, bytes = 32 * MiB) => {
  writeFileSync(bench.path(name), "");
  truncateSync(bench.path(name), bytes);
};

describe("at the first start", () => {
  it("a drive with a file system is refused, and not one byte is changed", async () => {
    for (const name of DRIVES) blank(name);
    blank("alone-journal", 16 * MiB);
    await tool(bench, "mkfs.ext4", "-q", "-F", bench.path("alone-drive-1"));
    const before = contents(bench, ...FILES);
    expectRefusal(await serve(), EXIT.operation, "raid.foreign", "alone-drive-1", "ext");
    expect(contents(bench, ...FILES)).toEqual(before);
    blank("alone-drive-1");
    const site = await bench.serve(strict);
    await qemuIo(bench, urlOf(port), "write -P 1 0 1M", "read -P 1 0 1M");
    expect(await site.stop()).toBe(0);
  });

  it.each([
    ["alone-drive-2", "raid.foreign"],
    ["alone-journal", "journal.foreign"],
  ])("%s with bytes of unknown origin is refused", async (name, code) => {
    for (const drive of DRIVES) blank(drive);
    blank("alone-journal", 16 * MiB);
    const bytes = readFileSync(bench.path(name));
    bytes.write("somebody's data", 4096);
    writeFileSync(bench.path(name), bytes);
    const before = contents(bench, ...FILES);
    expectRefusal(await serve(), EXIT.operation, code, name);
    expect(contents(bench, ...FILES)).toEqual(before);
  });

  it("a missing drive is refused", async () => {
    blank(DRIVES[0]);
    blank(DRIVES[2]);
    blank("alone-journal", 16 * MiB);
    expectRefusal(await serve(), EXIT.operation, "site.drive-missing", "alone-drive-1");
    blank(DRIVES[1]);
    expect(await (await bench.serve(strict)).stop()).toBe(0);
  });

  it("a drive that is too small, and one that is a folder, are refused", async () => {
    for (const drive of DRIVES) blank(drive);
    blank("alone-drive-1", 64 * 1024);
    blank("alone-journal", 16 * MiB);
    expectRefusal(await serve(), EXIT.operation, "raid.too-small", "alone-drive-1");
    const folder = put(bench, { ...config, journal: { device: "." } }, "folder");
    expectRefusal(await serve(folder), EXIT.operation, "drive.unusable", "directory");
  });

  it("a volume that does not fit is refused", async () => {
    const large = { lun0: { array: "main", size: "1GiB", lun: 0 } };
    const result = await serve(put(bench, { ...config, volumes: large }, "large"));
    expectRefusal(result, EXIT.operation, "raid.full", "lun0");
    expect(await (await bench.serve(put(bench, config, "first"))).stop()).toBe(0);
  });
});

describe("of a site with data", () => {
  beforeEach(filled);

  it("two missing drives of three are refused until one is back", async () => {
    const before = contents(bench, ...FILES);
    for (const name of DRIVES.slice(1)) renameSync(bench.path(name), bench.path(`${name}.away`));
    expectRefusal(await serve(), EXIT.operation, "raid.too-few", "main");
    for (const name of DRIVES.slice(1)) renameSync(bench.path(`${name}.away`), bench.path(name));
    expect(contents(bench, ...FILES)).toEqual(before);
    expect(await holdsAll()).toContain("optimal");
  });

  it("one missing drive leaves the array degraded, says so, and costs nothing", async () => {
    renameSync(bench.path(DRIVES[1]), bench.path("away"));
    const site = await bench.serve(strict);
    await qemuIo(bench, urlOf(port), "read -P 0x31 0 4M", "write -P 0x33 1M 1M", "read -P 0x33 1M 1M");
    await stored();
    const status = (await bench.antipode("ctl", "--dir", ".", "show", "status")).stdout;
    expect(status).toContain("degraded");
    expect(status).toContain("alone-drive-1 is not there");
    expect(await site.stop()).toBe(0);
    // It is stale now: it must not come back as if it had what was written without it.
    renameSync(bench.path("away"), bench.path(DRIVES[1]));
    const again = await bench.serve(strict);
    await qemuIo(bench, urlOf(port), "read -P 0x31 0 1M", "read -P 0x33 1M 1M", "read -P 0x32 4M 4M");
    expect((await bench.antipode("ctl", "--dir", ".", "show", "array")).stdout).toContain("degraded");
    expect(await again.stop()).toBe(0);
  });

  it("a blank drive in the place of a member leaves the array degraded", async () => {
    blank(DRIVES[2]);
    expect(await holdsAll()).toContain("degraded");
  });

  it("drives in another order are the same array", async () => {
    expect(await holdsAll(put(bench, { ...config, drives: DRIVES.toReversed() }, "swapped"))).toContain("optimal");
    renameSync(bench.path(DRIVES[0]), bench.path("x"));
    renameSync(bench.path(DRIVES[1]), bench.path(DRIVES[0]));
    renameSync(bench.path("x"), bench.path(DRIVES[1]));
    expect(await holdsAll()).toContain("optimal");
  });

  it.each([
    ["another group", { group: "other" }, "raid.other-group"],
    ["another array", {}, "raid.other-array"],
  ])("a drive of %s is refused, and neither loses anything", async (_what, changes, code) => {
    const [otherPort] = await freePorts(1);
    const other = { ...alone({ port: otherPort, name: "second", level: 5, drives: 3 }), ...changes };
    const made = await bench.serve(put(bench, other, "second"));
    await qemuIo(bench, urlOf(otherPort), "write -P 0x41 0 8M");
    expect(await made.stop()).toBe(0);
    copyFileSync(bench.path(DRIVES[2]), bench.path("kept"));
    renameSync(bench.path("second-drive-2"), bench.path(DRIVES[2]));
    const before = contents(bench, ...FILES);
    expectRefusal(await serve(), EXIT.operation, code, DRIVES[2]);
    expect(contents(bench, ...FILES)).toEqual(before);
    renameSync(bench.path(DRIVES[2]), bench.path("second-drive-2"));
    renameSync(bench.path("kept"), bench.path(DRIVES[2]));
    expect(await holdsAll()).toContain("optimal");
    const again = await bench.serve(bench.path("second.yaml"));
    await qemuIo(bench, urlOf(otherPort), "read -P 0x41 0 8M");
    expect(await again.stop()).toBe(0);
  });

  it("a volume of another size than it was made with is refused", async () => {
    const file = put(bench, { ...config, volumes: { lun0: { array: "main", size: "4MiB", lun: 0 } } }, "smaller");
    const before = contents(bench, ...DRIVES);
    expectRefusal(await serve(file), EXIT.operation, "site.volume-size", "lun0", "8388608");
    expect(await holdsAll()).toContain("optimal");
    expect(before).toHaveLength(3);
  });

  it("a file system on two of its drives is refused", async () => {
    for (const name of DRIVES.slice(1)) copyFileSync(bench.path(name), bench.path(`${name}.kept`));
    for (const name of DRIVES.slice(1)) await tool(bench, "mkfs.ext4", "-q", "-F", bench.path(name));
    const before = contents(bench, ...FILES);
    expectRefusal(await serve(), EXIT.operation, "raid.foreign", DRIVES[1]);
    expect(contents(bench, ...FILES)).toEqual(before);
    for (const name of DRIVES.slice(1)) renameSync(bench.path(`${name}.kept`), bench.path(name));
    expect(await holdsAll()).toContain("optimal");
  });

  it("a drive that another site has open is refused, and that site goes on", async () => {
    const site = await bench.serve(strict);
    const [otherPort] = await freePorts(1);
    const thief = { ...alone({ port: otherPort, name: "thief" }), drives: [DRIVES[0]] };
    const result = await serve(put(bench, thief, "thief"));
    expectRefusal(result, EXIT.operation, "drive.busy", DRIVES[0]);
    expectRefusal(await bench.antipode("inspect", strict), EXIT.operation, "drive.busy", "alone-");
    await qemuIo(bench, urlOf(port), "read -P 0x31 0 4M");
    expect(await site.stop()).toBe(0);
    rmSync(bench.path("thief-journal"), { force: true });
    expect(await holdsAll()).toContain("optimal");
  });
});
