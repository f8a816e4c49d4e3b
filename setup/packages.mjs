/** Debian's packages that Antipode and its tests use: the one list of them. */

import { spawnSync } from "node:child_process";

/**
 * `for`: what needs it; all that `start` needs, `image` and `test` need too, and `test` needs all.
 * `optional`: Antipode works without it, and `without` says how.
 */
const PACKAGES = [
  {
    name: "libisal2",
    for: "start",
    use: "ISA-L: checksums and parity at memory speed",
    optional: true,
    without: "checksums and parity are computed in TypeScript instead, several times slower",
  },
  { name: "libiscsi-bin", for: "test", use: "iscsi-ls, iscsi-inq, iscsi-perf: initiators that the tests drive" },
  { name: "qemu-utils", for: "test", use: "qemu-img and qemu-io: initiators that the tests drive" },
  { name: "qemu-block-extra", for: "test", use: "QEMU's iSCSI driver" },
  { name: "tgt", for: "test", use: "Debian's iSCSI target, which the benchmark compares with" },
  { name: "qemu-system-x86", for: "test", use: "QEMU: the machine that starts firmware" },
  { name: "ovmf", for: "test", use: "UEFI for QEMU" },
  { name: "nut-server", for: "test", use: "upsd and dummy-ups: a UPS for the tests of batteries" },
  { name: "openssl", for: "test", use: "a certificate for the tests of TLS" },
  { name: "systemd-boot-efi", for: "test", use: "systemd-boot: what chooses the slot that is started" },
  {
    name: "e2fsprogs",
    for: "image",
    use: "mke2fs and e2fsck: file systems of the image; a real one to copy and to check",
  },
  { name: "binutils", for: "image", use: "objcopy: makes kernel and initramfs one program" },
  { name: "dosfstools", for: "image", use: "mkfs.vfat: the image's EFI system partition" },
  { name: "fdisk", for: "image", use: "sfdisk: the image's partition table" },
  { name: "kmod", for: "image", use: "depmod: which kernel modules need which" },
  { name: "mtools", for: "image", use: "mcopy: files in the EFI system partition" },
  { name: "sbsigntool", for: "image", use: "sbsign: signs for Secure Boot, where that is wanted" },
  { name: "zstd", for: "image", use: "compresses the initramfs" },
];

/** The purposes whose packages each purpose needs. */
const NEEDS = { start: ["start"], image: ["start", "image"], test: ["start", "image", "test"] };

/** What may be asked for. */
export const PURPOSES = Object.keys(NEEDS);

/** Those of the packages for `purpose` that this machine does not have. */
export function missingPackages(purpose) {
  const wanted = PACKAGES.filter((entry) => NEEDS[purpose].includes(entry.for));
  const { stdout } = spawnSync(
    "dpkg-query",
    ["-W", `-f=\${binary:Package} \${db:Status-Status}\n`, ...wanted.map(({ name }) => name)],
    {
      encoding: "utf8",
    },
  );
  const installed = new Set();
  for (const line of (stdout ?? "").split("\n")) {
    const [name, status] = line.split(" ");
    if (status === "installed") installed.add(name.split(":")[0]);
  }
  return wanted.filter(({ name }) => !installed.has(name));
}
