/** Debian's packages that Antipode and its tests use: the one list of them. */

import { spawnSync } from "node:child_process";

/**
 * `for`: what needs it; all that `start` needs, `test` needs too.
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
  { name: "e2fsprogs", for: "test", use: "mkfs.ext4 and e2fsck: a real file system to copy and to check" },
  { name: "qemu-system-x86", for: "test", use: "QEMU: the machine that starts firmware" },
  { name: "ovmf", for: "test", use: "UEFI for QEMU" },
  { name: "systemd-boot-efi", for: "test", use: "systemd-boot: what chooses the slot that is started" },
  { name: "dosfstools", for: "test", use: "mkfs.vfat: EFI system partitions" },
  { name: "mtools", for: "test", use: "files in EFI system partitions" },
];

/** Those of the packages for `purpose` ("start" or "test") that this machine does not have. */
export function missingPackages(purpose) {
  const wanted = PACKAGES.filter((entry) => entry.for === "start" || purpose === "test");
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
