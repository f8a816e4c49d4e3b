/**
 * The unified kernel image: stub, command line, kernel and initramfs as one program of the firmware's, which is all
 * that an update has to replace. As of the UAPI group's specification of unified kernel images.
 */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EPOCH_SECONDS } from "./identity.ts";
import { run, runText } from "./run.ts";

/** Sections behind the stub's own start at whole pages. */
const ALIGNMENT = 0x1000;

export interface UkiParts {
  /** Where the package with the stub is unpacked. */
  readonly bootRoot: string;
  readonly kernelRoot: string;
  /** By which the boot loader and updates know what it is: see src/firmware/uki.ts. */
  readonly osRelease: Uint8Array;
  readonly commandLine: string;
  readonly initramfs: Uint8Array;
}

/** @param work a folder to put the parts in */
export function makeUki(parts: UkiParts, work: string, output: string): void {
  const stub = join(parts.bootRoot, "usr/lib/systemd/boot/efi/linuxx64.efi.stub");
  const boot = join(parts.kernelRoot, "boot");
  const kernel = readdirSync(boot).find((name) => name.startsWith("vmlinuz-"));
  if (kernel === undefined) throw new Error(`${boot} has no kernel`);

  // The initramfs last, since it is the largest and grows.
  const sections: readonly (readonly [name: string, content: Uint8Array])[] = [
    [".osrel", parts.osRelease],
    [".cmdline", new TextEncoder().encode(`${parts.commandLine}\0`)],
    [".linux", readFileSync(join(boot, kernel))],
    [".initrd", parts.initramfs],
  ];
  let address = endOfSections(stub);
  const args = sections.flatMap(([name, content]) => {
    const file = join(work, `section${name}`);
    writeFileSync(file, content);
    const at = Math.ceil(address / ALIGNMENT) * ALIGNMENT;
    address = at + content.length;
    return ["--add-section", `${name}=${file}`, "--change-section-vma", `${name}=0x${at.toString(16)}`];
  });
  run("objcopy", [...args, stub, output]);
  setTimestamp(output);
}

/** The address behind the last section that the stub brings with it. */
function endOfSections(stub: string): number {
  const rows = runText("objdump", ["-h", "-w", stub]).matchAll(/^ *\d+ \S+ +([0-9a-f]{8}) +([0-9a-f]{16})/gm);
  const ends = Array.from(rows, ([, size, address]) => Number.parseInt(size, 16) + Number.parseInt(address, 16));
  if (ends.length === 0) throw new Error(`objdump finds no sections in ${stub}`);
  return Math.max(...ends);
}

/** Offsets of the PE format: where the header is, and where in it are the time of linking and the checksum. */
const PE_HEADER_POINTER = 0x3c;
const PE_TIMESTAMP = 8;
const PE_CHECKSUM = 88;

/** objcopy writes the time at which it runs, and a checksum over that, which UEFI does not look at and which may be 0. */
function setTimestamp(file: string): void {
  const image = readFileSync(file);
  const header = image.readUInt32LE(PE_HEADER_POINTER);
  image.writeUInt32LE(EPOCH_SECONDS, header + PE_TIMESTAMP);
  image.writeUInt32LE(0, header + PE_CHECKSUM);
  writeFileSync(file, image);
}
