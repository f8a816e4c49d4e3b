/** Updates that tests give an appliance: the built image with another version, and with other programs where one is to fail. */

import { readFileSync } from "node:fs";
import { Tree } from "../../image/cpio.ts";
import { tool } from "../conformance/initiator.ts";
import type { Workbench } from "../conformance/workbench.ts";
import { emptyDrive } from "./appliance.ts";
import type { BuiltImage } from "./built-image.ts";

/** What the image's builder put behind the stub, in its order: see image/uki.ts. */
const PAYLOAD = [".osrel", ".cmdline", ".linux", ".initrd"] as const;
const DRIVE_BYTES = 256 * 1024 * 1024;

/**
 * A rightly signed update that differs from what was built by what it says of its version.
 * @param programs in the place of those of the image, by path
 * @returns the file's path
 */
export async function makeUpdate(
  bench: Workbench,
  built: BuiltImage,
  version: string,
  programs: Readonly<Record<string, string>> = {},
): Promise<string> {
  const [uki, update] = [bench.path(`${version}.efi`), bench.path(`${version}.update`)];
  const release = await bench.antipode("firmware", "os-release", "--release", version);
  const changed: Record<string, string> = { ".osrel": bench.write("os-release", release.stdout) };
  if (Object.keys(programs).length > 0) changed[".initrd"] = await initramfsWith(bench, built, programs);
  await changeSections(bench, built.uki, changed, uki);
  const made = await bench.antipode("firmware", "sign", uki, "--key", built.privateKey, "--into", update);
  if (made.code !== 0) throw new Error(made.text);
  return update;
}

/** All are taken out and put in again: objcopy's --update-section leaves a section the size that it had. */
async function changeSections(bench: Workbench, from: string, changed: Readonly<Record<string, string>>, into: string) {
  const headers = await tool(bench, "objdump", "-h", "-w", from);
  const added: string[] = [];
  for (const name of PAYLOAD) {
    const file = changed[name] ?? (await sectionOf(bench, from, name));
    const [, address] = new RegExp(` \\${name} +[0-9a-f]+ +([0-9a-f]+)`).exec(headers) ?? [];
    added.push("--add-section", `${name}=${file}`, "--change-section-vma", `${name}=0x${address}`);
  }
  await tool(bench, "objcopy", ...PAYLOAD.flatMap((name) => ["--remove-section", name]), from, into);
  await tool(bench, "objcopy", ...added, into);
}

async function sectionOf(bench: Workbench, uki: string, name: string): Promise<string> {
  const file = bench.path(`section${name}`);
  await tool(bench, "objcopy", "-O", "binary", "--only-section", name, uki, file);
  return file;
}

async function initramfsWith(bench: Workbench, built: BuiltImage, programs: Readonly<Record<string, string>>) {
  const tree = new Tree();
  for (const [path, text] of Object.entries(programs)) {
    tree.add(path, { kind: "file", mode: 0o755, content: new TextEncoder().encode(text) });
  }
  const whole = readFileSync(await sectionOf(bench, built.uki, ".initrd"));
  // What follows at a multiple of four bytes is another archive to the kernel, whose files replace those before.
  const padding = new Uint8Array((4 - (whole.length % 4)) % 4);
  return bench.write("initramfs", Buffer.concat([whole, padding, tree.archive()]));
}

/** A drive as an operator would attach it, with these files on it. */
export async function updateDrive(bench: Workbench, files: readonly string[]): Promise<string> {
  const drive = emptyDrive(bench, "update", DRIVE_BYTES);
  await tool(bench, "/usr/sbin/mkfs.vfat", "-n", "UPDATE", drive);
  await tool(bench, "mcopy", "-i", drive, ...files, "::/");
  return drive;
}
