import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { closure, listed } from "./modules.ts";

const INDEX = `kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko
kernel/fs/jbd2/jbd2.ko:
kernel/lib/crc16.ko:
kernel/drivers/usb/storage/usb-storage.ko: kernel/drivers/usb/core/usbcore.ko
kernel/drivers/usb/core/usbcore.ko:
kernel/drivers/net/unwanted.ko: kernel/lib/crc16.ko
`;

describe("the modules of an image", () => {
  it("are all in the hardware guide, but for those of file systems, and no other is", () => {
    const root = join(import.meta.dirname, "..");
    const guide = readFileSync(join(root, "docs/hardware.md"), "utf8");
    const list = readFileSync(join(root, "image/modules.txt"), "utf8");
    const devices = listed(list.replace(/^file systems[\s\S]*?\n\n/m, ""));
    for (const name of devices) expect(guide).toContain(`\`${name}\``);
    const rows = Array.from(guide.matchAll(/^\| (`[^|]*) \|/gm), ([, drivers]) => drivers);
    const named = rows.flatMap((row) => Array.from(row.matchAll(/`([^`]+)`/g), ([, name]) => name));
    expect(named.filter((name) => !devices.includes(name) && !/[./]/.test(name))).toEqual([]);
  });

  it("are those of the list, which may have comments and dividing lines", () => {
    expect(listed("# a\n\ndrives:\nnvme\n  ahci  \n")).toEqual(["nvme", "ahci"]);
  });

  it("come with all that they need, once, in order", () => {
    expect(closure(["usb_storage", "ext4", "jbd2"], INDEX, new Set())).toEqual([
      "kernel/drivers/usb/core/usbcore.ko",
      "kernel/drivers/usb/storage/usb-storage.ko",
      "kernel/fs/ext4/ext4.ko",
      "kernel/fs/jbd2/jbd2.ko",
      "kernel/lib/crc16.ko",
    ]);
  });

  it("may be in the kernel itself, but have to be somewhere", () => {
    expect(closure(["atkbd"], INDEX, new Set(["atkbd"]))).toEqual([]);
    expect(() => closure(["nvme", "ext4"], INDEX, new Set())).toThrow("this kernel has no module nvme");
  });
});
