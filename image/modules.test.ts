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
