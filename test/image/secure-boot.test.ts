/**
 * An image that is signed for Secure Boot, on a machine whose firmware believes its owner's certificate alone: it starts,
 * and what was not signed is refused, be it the kernel image or the boot loader. The firmware and the key are those that
 * Debian publishes for tests.
 */

import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PARTITIONS } from "../../image/disk.ts";
import { UKI_NAME, UPDATE_NAME, VERSION } from "../../image/identity.ts";
import { tool } from "../conformance/initiator.ts";
import { type Running, Workbench } from "../conformance/workbench.ts";

const root = join(import.meta.dirname, "../..");
const BUILD_DEADLINE_MS = 240_000;
const START_DEADLINE_MS = 240_000;
/** The published ones: nobody may believe them but tests. */
const CERTIFICATE = "/usr/share/ovmf/PkKek-1-snakeoil.pem";
const ENCRYPTED_KEY = "/usr/share/ovmf/PkKek-1-snakeoil.key";
const PASSPHRASE = "snakeoil";
/** Secure Boot is on in it, with that certificate as the only one. */
const FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
const FIRMWARE_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd";

let bench: Workbench;
let image: string;
let key: string;

function build(...args: readonly string[]) {
  const all = [join(root, "image/build.ts"), "--fast", "--out", bench.path("out"), ...args];
  return bench.run(process.execPath, all, { deadlineMs: BUILD_DEADLINE_MS });
}

beforeAll(async () => {
  bench = new Workbench();
  const opened = createPrivateKey({ key: readFileSync(ENCRYPTED_KEY), passphrase: PASSPHRASE });
  key = bench.write("secure-boot.key", opened.export({ type: "pkcs8", format: "pem" }).toString());
  const made = await bench.antipode("firmware", "keygen", bench.path("keys"));
  expect(made.code, made.text).toBe(0);
  const updateKey = bench.path("keys/firmware-key.pem");
  const { code, text } = await build(
    "--secure-boot-key",
    key,
    "--secure-boot-certificate",
    CERTIFICATE,
    "--key",
    updateKey,
  );
  expect(code, text).toBe(0);
  image = bench.path(`out/antipode-${VERSION}.img`);
}, BUILD_DEADLINE_MS + 60_000);
afterAll(() => bench.close());

/** @returns a machine that has just been switched on */
async function start(disk: string): Promise<Running> {
  const variables = bench.path("variables.fd");
  await tool(bench, "cp", FIRMWARE_VARIABLES, variables);
  // With this process it ends too, however that ends.
  return bench.start("setpriv", [
    ...["--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none"],
    ...["-machine", "q35,smm=on", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", "2048M"],
    // Only the firmware, in system management mode, may change its variables.
    ...["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"],
    ...["-drive", `if=pflash,format=raw,readonly=on,file=${FIRMWARE}`],
    ...["-drive", `if=pflash,format=raw,file=${variables}`],
    ...["-chardev", "stdio,id=line,signal=off", "-serial", "chardev:line"],
    ...["-drive", `if=none,id=image,format=raw,snapshot=on,file=${disk}`],
    ...["-device", "virtio-blk-pci,drive=image,bootindex=0"],
  ]);
}

/** @returns a copy of the image in which that program has lost its signature */
async function unsigned(path: string): Promise<string> {
  const [disk, program] = [bench.path("unsigned.img"), bench.path("program.efi")];
  await tool(bench, "cp", "--sparse=always", image, disk);
  const partition = `${disk}@@${PARTITIONS.efi.start}`;
  await tool(bench, "mcopy", "-o", "-i", partition, `::/${path}`, program);
  await tool(bench, "sbattach", "--remove", program);
  await tool(bench, "mcopy", "-o", "-i", partition, program, `::/${path}`);
  return disk;
}

describe("an image that is signed for Secure Boot", () => {
  it("starts where the firmware believes its owner", async () => {
    const machine = await start(image);
    await machine.says(/antipode: version \S+, Linux 6\./, START_DEADLINE_MS);
    expect(machine.text).toContain("UEFI Secure Boot is enabled");
    expect(await machine.stop("SIGKILL")).toBe(-1);
  });

  it.each([
    ["kernel image", `EFI/Linux/${UKI_NAME}`],
    ["boot loader", "EFI/BOOT/BOOTX64.EFI"],
  ])("does not start with a %s that has no signature", async (_what, path) => {
    const machine = await start(await unsigned(path));
    await machine.says(/Access Denied|Access denied/, START_DEADLINE_MS);
    expect(machine.text).not.toContain("antipode: version");
    expect(await machine.stop("SIGKILL")).toBe(-1);
  });

  it("has an update file with the signed kernel image in it", async () => {
    const uki = bench.path(`out/${UKI_NAME}`);
    await tool(bench, "sbverify", "--cert", CERTIFICATE, uki);
    const update = bench.path(`out/${UPDATE_NAME}`);
    const keys = bench.path("keys/firmware-keys.pem");
    const { code, text } = await bench.antipode(
      "firmware",
      "check",
      update,
      "--keys",
      keys,
      "--esp",
      bench.path("out"),
    );
    expect(code, text).toBe(0);
    expect(readFileSync(update).includes(readFileSync(uki))).toBe(true);
  });

  it("is not built with a key or a certificate alone, nor with those that do not belong together", async () => {
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const otherKey = bench.write("other.key", other.export({ type: "pkcs8", format: "pem" }).toString());
    for (const [args, reason] of [
      [["--secure-boot-key", key], "are given together"],
      [["--secure-boot-certificate", CERTIFICATE], "are given together"],
      [["--secure-boot-key", key, "--secure-boot-certificate", key], "has no certificate"],
      [["--secure-boot-key", CERTIFICATE, "--secure-boot-certificate", CERTIFICATE], "has no key"],
      [["--secure-boot-key", otherKey, "--secure-boot-certificate", CERTIFICATE], "is not for the key in"],
      [["--secure-boot-key", bench.path("none"), "--secure-boot-certificate", CERTIFICATE], "none"],
    ] as const) {
      const { code, text } = await build(...args);
      expect(code, text).toBe(1);
      expect(text).toMatch(new RegExp(`^image: .*${reason}`));
    }
  });
});
