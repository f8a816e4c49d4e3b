/**
 * Real systemd-boot on real UEFI firmware in QEMU starts slots in the order, and renames them in the way, that the machine
 * of the firmware's tests does: what those conclude about power cuts and failed starts rests on it.
 */

import { expect, it } from "vitest";
import { FOLDER, FORMATS, Machine, ukiOf, version } from "../../src/firmware/firmware-testing.ts";
import { osReleaseOf } from "../../src/firmware/uki.ts";
import { MemoryFiles } from "../../src/platform/memory/memory-files.ts";
import { until, Workbench } from "../conformance/workbench.ts";
import { efiProgram } from "./efi-program.ts";

const SYSTEMD_BOOT = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
const OVMF = "/usr/share/OVMF";
const DEADLINE_MS = 300_000;

interface Case {
  readonly what: string;
  readonly slots: readonly string[];
  readonly starts: number;
}

const CASES: readonly Case[] = [
  { what: "a trial that fails", slots: ["antipode_1.9.0.efi", "antipode_1.10.0+3.efi"], starts: 4 },
  { what: "an older version before one set aside", slots: ["antipode_1.0.5+3.efi", "antipode_1.1.0+0.efi"], starts: 4 },
  {
    what: "two names of one image",
    slots: ["antipode_1.1.0+3.efi", "antipode_1.1.0+2-1.efi", "antipode_1.0.0.efi"],
    starts: 2,
  },
  {
    what: "an empty file",
    slots: ["antipode_1.0.0+0-3.efi", "empty antipode_1.1.0+3.efi", "antipode.incoming"],
    starts: 1,
  },
];

const isEmpty = (slot: string) => slot.startsWith("empty ");
const fileOf = (slot: string) => slot.replace("empty ", "");
const versionOf = (slot: string) => version(/_([0-9.]+?)(?:\+|\.efi)/.exec(slot)?.[1] ?? "0.0.0");

/** Names of the folder after so many starts, and what was started, as the tests' machine has it. */
function expected({ slots, starts }: Case): { readonly started: readonly string[]; readonly names: readonly string[] } {
  const files = new MemoryFiles();
  for (const slot of slots) {
    files.contents.set(`${FOLDER}/${fileOf(slot)}`, isEmpty(slot) ? new Uint8Array(0) : ukiOf(versionOf(slot)));
  }
  const machine = new Machine(files, () => true);
  const started = Array.from({ length: starts }, () => machine.start());
  const names = [...files.contents.keys()].filter((path) => path.startsWith(`${FOLDER}/`));
  return { started, names: names.map((path) => path.slice(FOLDER.length + 1)).sort() };
}

/** An EFI system partition with systemd-boot and these slots. */
async function makePartition(bench: Workbench, slots: readonly string[]): Promise<string> {
  const run = async (program: string, ...args: readonly string[]) => {
    const { code, text } = await bench.run(program, args);
    expect(code, text).toBe(0);
  };
  const partition = bench.write("esp.img", new Uint8Array(64 * 1024 * 1024));
  await run("mkfs.vfat", "-F", "32", partition);
  await run("mmd", "-i", partition, "::EFI", "::EFI/BOOT", "::EFI/Linux", "::loader");
  await run("mcopy", "-i", partition, SYSTEMD_BOOT, "::EFI/BOOT/BOOTX64.EFI");
  await run("mcopy", "-i", partition, bench.write("loader.conf", "timeout 0\n"), "::loader/loader.conf");
  for (const slot of slots) {
    const release = { version: versionOf(slot), formats: FORMATS };
    const program = efiProgram(`STARTED ${release.version}`, osReleaseOf(release));
    const file = bench.write("slot", isEmpty(slot) ? new Uint8Array(0) : program);
    await run("mcopy", "-i", partition, file, `::EFI/Linux/${fileOf(slot)}`);
  }
  return partition;
}

async function run(bench: Workbench, one: Case): Promise<void> {
  const partition = await makePartition(bench, one.slots);
  await bench.run("cp", [`${OVMF}/OVMF_VARS_4M.fd`, bench.path("vars.fd")]);
  const qemu = bench.start("qemu-system-x86_64", [
    ...["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256", "-net", "none"],
    ...["-display", "none", "-monitor", "none", "-serial", "stdio"],
    ...["-drive", `if=pflash,format=raw,readonly=on,file=${OVMF}/OVMF_CODE_4M.fd`],
    ...["-drive", `if=pflash,format=raw,file=${bench.path("vars.fd")}`],
    ...["-drive", `if=none,id=esp,format=raw,file=${partition}`, "-device", "virtio-blk-pci,drive=esp"],
  ]);
  const started = () => Array.from(qemu.text.matchAll(/STARTED ([0-9.]+)[^0-9.]/g), ([, found]) => found);
  await until(
    () => started().length >= one.starts || !qemu.running,
    () => `${one.starts} starts in:\n${qemu.text}`,
    DEADLINE_MS,
  );
  await qemu.stop("SIGKILL");
  const model = expected(one);
  expect(started().slice(0, one.starts), qemu.text).toEqual(model.started);
  const { stdout } = await bench.run("mdir", ["-b", "-i", partition, "::EFI/Linux"]);
  const names = stdout
    .trim()
    .split("\n")
    .map((path) => path.slice(path.lastIndexOf("/") + 1));
  // It may have come as far as the rename before the next start.
  expect([model.names, expected({ ...one, starts: one.starts + 1 }).names]).toContainEqual(names.sort());
}

it.concurrent.each(CASES)("$what", async (one) => {
  const bench = new Workbench();
  try {
    await run(bench, one);
  } finally {
    await bench.close();
  }
});
