/** What the commands of `antipode firmware` do; firmware-commands.ts is how they are given. */

import { OperatingError } from "../base/operating-error.ts";
import type { Firmware, FirmwareStatus } from "../firmware/firmware.ts";
import type { Progress } from "../firmware/progress.ts";
import { fingerprint, hex, parsePublicKeys } from "../firmware/public-key.ts";
import { renderFirmware, renderManifest, renderMarked } from "../firmware/render.ts";
import { osReleaseOf } from "../firmware/uki.ts";
import type { Manifest } from "../firmware/update-file.ts";
import { parseVersion } from "../firmware/version.ts";
import { writeUpdate } from "../firmware/write-update.ts";
import { makeFolder, readText } from "../platform/linux/host-files.ts";
import { linuxFiles } from "../platform/linux/linux-files.ts";
import { linuxSignatures, makeKeyPair, signerOf } from "../platform/linux/linux-signatures.ts";
import { FORMATS } from "../site/formats.ts";
import { openFirmware } from "./appliance-firmware.ts";
import { APPLIANCE_PLACES, PRIVATE_KEY, PUBLIC_KEY } from "./appliance-places.ts";

export interface ApplianceOptions {
  readonly esp: string;
  readonly efivars: string;
  readonly keys?: string;
  readonly revisions: string;
}

export interface CommandOptions extends ApplianceOptions {
  readonly json: boolean;
}

export async function show(options: CommandOptions): Promise<void> {
  printStatus(await openNamedFirmware(options).status(), options);
}

export async function check(file: string, options: CommandOptions): Promise<void> {
  const manifest = await openNamedFirmware(options).check(file, showProgress);
  print(options, forMachines(manifest), renderManifest(manifest));
}

export async function install(file: string, options: CommandOptions): Promise<void> {
  printStatus(await openNamedFirmware(options).install(file, showProgress), options);
}

export async function rollback(version: string | undefined, options: CommandOptions): Promise<void> {
  printStatus(await openNamedFirmware(options).choose(version), options);
}

export async function good(options: CommandOptions): Promise<void> {
  const marked = await openNamedFirmware(options).markGood();
  print(options, { marked }, renderMarked(marked));
}

export async function tidy(options: CommandOptions): Promise<void> {
  const removed = await openNamedFirmware(options).tidy();
  print(options, { removed }, removed.map((file) => `removed ${file}\n`).join(""));
}

export function openNamedFirmware({ esp, efivars, keys, revisions }: ApplianceOptions): Firmware {
  const { owner, image } = APPLIANCE_PLACES.keys;
  return openFirmware({ esp, efivars, keys: { owner: keys ?? owner, image: keys ?? image } }, revisions);
}

export async function keygen(folder: string): Promise<void> {
  const files = linuxFiles();
  const [privatePath, publicPath] = [`${folder}/${PRIVATE_KEY}`, `${folder}/${PUBLIC_KEY}`];
  for (const path of [privatePath, publicPath]) {
    if ((await files.read(path)) === undefined) continue;
    throw new OperatingError("firmware.key-exists", `${path} is there already.`, "Name another folder.");
  }
  makeFolder(folder);
  const { privateKey, publicKey } = makeKeyPair();
  await files.replace(privatePath, new TextEncoder().encode(privateKey));
  await files.replace(publicPath, new TextEncoder().encode(publicKey), { isPublic: true });
  const [key] = parsePublicKeys(publicKey) ?? [];
  process.stdout.write(
    `${privatePath}: keep it secret\n${publicPath}: key ${fingerprint(key, linuxSignatures)}, for the appliances\n`,
  );
}

export function printOsRelease({ release }: { release: string }): void {
  const version = parseVersion(release);
  if (version === undefined)
    throw new OperatingError("usage.release", `${release} is no version.`, "Give MAJOR.MINOR.PATCH.");
  process.stdout.write(osReleaseOf({ version, formats: FORMATS }));
}

export async function sign(image: string, options: { key: string; into: string; json: boolean }): Promise<void> {
  const by = { signer: signerOf(readText(options.key), options.key), signatures: linuxSignatures };
  const manifest = await writeUpdate(linuxFiles(), image, options.into, by, showProgress);
  print(options, forMachines(manifest), renderManifest(manifest));
}

function printStatus(status: FirmwareStatus, options: { json: boolean }): void {
  print(options, status, renderFirmware(status));
}

function forMachines(manifest: Manifest): unknown {
  return { ...manifest, payloadSha256: hex(manifest.payloadSha256) };
}

function print({ json }: { json: boolean }, value: unknown, text: string): void {
  endProgress();
  process.stdout.write(json ? `${JSON.stringify(value)}\n` : text);
}

function showProgress({ what, done, total }: Progress): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${what}: ${Math.floor((done / total) * 100)} % `);
}

function endProgress(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
}
