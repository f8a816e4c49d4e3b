import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { listDrives } from "./linux-drive-list.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "antipode-drives-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
}

it("drives are listed by the name that stays with them, with what uses them", () => {
  put({
    "block/loop0/size": "2048",
    "block/sr0/device/model": "QEMU DVD-ROM",
    "block/sr0/size": "2048",
    "block/sdc/device/model": "",
    "block/sdc/size": "0",
    "block/vda/device/vendor": "0x1af4",
    "block/vda/size": "2097152",
    "block/vda/vda1/partition": "1",
    "block/vda/vda1/uevent": "DEVNAME=vda1\nPARTNAME=antipode-efi",
    "block/sdb/device/model": "ST4000NM  ",
    "block/sdb/size": "7814037168",
    "block/sdb/ro": "0",
    "block/sdb/sdb1/partition": "1",
    "block/sdb/sdb2/partition": "2",
    "block/sda/device/model": "ST4000NM",
    "block/sda/size": "7814037168",
    "block/sda/holders/dm-0": "",
    "block/sdd/device/model": "Stick",
    "block/sdd/size": "2048",
    "block/sdd/sdd1/partition": "1",
    "block/sde/device/model": "Card",
    "block/sde/size": "2048",
    "block/sde/ro": "1",
    "block/nvme0n1/device/model": "Fast",
    "block/nvme0n1/size": "4096",
    "block/mmcblk0boot0/device/type": "MMC",
    "block/mmcblk0boot0/size": "8192",
    mounts: "/dev/sdd1 /usb vfat rw 0 0\nproc /proc proc rw 0 0",
    "dev/sdb": "",
    "dev/sdb1": "",
    "dev/nvme0n1": "",
  });
  mkdirSync(join(root, "by-id"));
  for (const [link, device] of [
    ["wwn-0x5000c500a1b2c3d4", "sdb"],
    ["ata-ST4000NM_XYZ", "sdb"],
    ["wwn-0x5000c500a1b2c3d4-part1", "sdb1"],
    ["nvme-Fast_1", "nvme0n1"],
    ["nvme-eui.0025388b710116a1", "nvme0n1"],
    ["usb-Something", "sdd"],
    ["wwn-0x1", "gone"],
  ]) {
    symlinkSync(`../dev/${device}`, join(root, "by-id", link));
  }
  const byId = join(root, "by-id");
  const drives = listDrives({ block: join(root, "block"), byId, mounts: join(root, "mounts") });
  expect(drives.map(({ path, size, partitions, usedBy }) => [path, size, partitions, usedBy])).toEqual([
    [`${byId}/nvme-eui.0025388b710116a1`, 2 * 2 ** 20, 0, undefined],
    ["/dev/sda", 4_000_787_030_016, 0, "in use: a part of dm-0"],
    [`${byId}/wwn-0x5000c500a1b2c3d4`, 4_000_787_030_016, 2, undefined],
    ["/dev/sdd", 2 ** 20, 1, "in use: mounted at /usb"],
    ["/dev/sde", 2 ** 20, 0, "write-protected"],
    ["/dev/vda", 2 ** 30, 1, "the firmware's own drive"],
  ]);
  expect(drives[2].model).toBe("ST4000NM");
});
