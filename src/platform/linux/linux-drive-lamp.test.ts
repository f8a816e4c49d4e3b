import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isOperatingError } from "../../base/operating-error.ts";
import { lightDrive } from "./linux-drive-lamp.ts";

let root: string;
let block: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "antipode-lamps-"));
  block = join(root, "block");
  for (const [path, text] of [
    ["dev/sda", "content"],
    ["dev/sda1", "content"],
    ["dev/sdb", "content"],
    ["dev/stray", "content"],
    ["devices/sda/sda1/partition", "1"],
    ["devices/sda/device/enclosure_device:Slot 07/locate", "0"],
    ["devices/sdb/device/model", "Test"],
  ]) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  mkdirSync(block);
  symlinkSync("../devices/sda", join(block, "sda"));
  symlinkSync("../devices/sda/sda1", join(block, "sda1"));
  symlinkSync("../devices/sdb", join(block, "sdb"));
  symlinkSync("dev/sda", join(root, "wwn-0x1"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const bay = () => readFileSync(join(root, "devices/sda/device/enclosure_device:Slot 07/locate"), "utf8");

describe("a drive's lamp", () => {
  it.each(["wwn-0x1", "dev/sda", "dev/sda1"])("is that of its bay where it has one, as for %s", async (path) => {
    const lamp = await lightDrive(join(root, path), block);
    expect([lamp.kind, bay()]).toEqual(["locate", "1"]);
    await lamp.off();
    expect(bay()).toBe("0");
  });

  it("is its own otherwise, and goes out at once", async () => {
    const lamp = await lightDrive(join(root, "dev/sdb"), block);
    expect(lamp.kind).toBe("activity");
    await lamp.off();
  });

  it.each(["dev/stray", "dev/none"])("is refused for what is no drive, as %s", async (path) => {
    const error = await lightDrive(join(root, path), block).catch((reason) => reason);
    expect(isOperatingError(error, "drive.missing")).toBe(true);
  });
});
