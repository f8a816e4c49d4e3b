/** `antipode firmware`: boot slots and updates of the appliance that it runs on, and what makers of updates need. */

import type { Command } from "commander";
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
import { VERSION } from "../site/version.ts";
import { APPLIANCE_PLACES, APPLIANCE_REVISIONS, openFirmware } from "./appliance-firmware.ts";

export interface ApplianceOptions {
  readonly esp: string;
  readonly efivars: string;
  readonly keys?: string;
  readonly revisions: string;
}

interface CommandOptions extends ApplianceOptions {
  readonly json: boolean;
}

const PRIVATE_KEY = "firmware-key.pem";
const PUBLIC_KEY = "firmware-keys.pem";

export function addFirmwareCommands(program: Command): void {
  const firmware = program.command("firmware").description("boot slots and updates of this appliance; making updates");

  onAppliance(firmware.command("show"), "what runs, what the next start will be of, and why").action(
    async (options: CommandOptions) => printStatus(await openNamedFirmware(options).status(), options),
  );
  onAppliance(
    firmware.command("check").argument("<file>", "an update file"),
    "look at an update, change nothing",
  ).action(async (file: string, options: CommandOptions) => {
    const manifest = await openNamedFirmware(options).check(file, showProgress);
    print(options, forMachines(manifest), renderManifest(manifest));
  });
  onAppliance(
    firmware.command("install").argument("<file>", "an update file"),
    "put an update into the other slot",
  ).action(async (file: string, options: CommandOptions) =>
    printStatus(await openNamedFirmware(options).install(file, showProgress), options),
  );
  onAppliance(firmware.command("rollback").argument("[version]"), "have the next start be of the other slot").action(
    async (version: string | undefined, options: CommandOptions) =>
      printStatus(await openNamedFirmware(options).choose(version), options),
  );
  onAppliance(firmware.command("good"), "what runs works: start it from now on without counting").action(
    async (options: CommandOptions) => {
      const marked = await openNamedFirmware(options).markGood();
      print(options, { marked }, renderMarked(marked));
    },
  );
  onAppliance(
    firmware.command("tidy"),
    "at the start: remove what a power cut left, once the partition is checked",
  ).action(async (options: CommandOptions) => {
    const removed = await openNamedFirmware(options).tidy();
    print(options, { removed }, removed.map((file) => `removed ${file}\n`).join(""));
  });
  addMakersCommands(firmware);
}

function addMakersCommands(firmware: Command): void {
  firmware
    .command("keygen")
    .description(`make a key pair: ${PRIVATE_KEY} to sign with, ${PUBLIC_KEY} for the appliances`)
    .argument("<folder>", "where it is put")
    .action(keygen);
  firmware
    .command("os-release")
    .description("the os-release that a unified kernel image of this release must have")
    .option("--release <version>", "a version of your own", VERSION)
    .action(({ release }: { release: string }) => {
      const version = parseVersion(release);
      if (version === undefined)
        throw new OperatingError("usage.release", `${release} is no version.`, "Give MAJOR.MINOR.PATCH.");
      process.stdout.write(osReleaseOf({ version, formats: FORMATS }));
    });
  firmware
    .command("sign")
    .description("make an update file of a unified kernel image")
    .argument("<image>", "the image")
    .requiredOption("--key <file>", "private key, in PEM")
    .requiredOption("--into <file>", "the update file")
    .option("--json", "for machines", false)
    .action(sign);
}

function onAppliance(command: Command, description: string): Command {
  return withPlaces(command.description(description)).option("--json", "for machines", false);
}

/** For commands that work with an appliance's firmware. */
export function withPlaces(command: Command): Command {
  const { owner, image } = APPLIANCE_PLACES.keys;
  return command
    .option("--esp <folder>", "where the EFI system partition is mounted", APPLIANCE_PLACES.esp)
    .option("--efivars <folder>", "where UEFI variables are", APPLIANCE_PLACES.efivars)
    .option("--keys <file>", `public keys in the place of ${owner} or ${image}`)
    .option("--revisions <folder>", "where revisions of the configuration are kept", APPLIANCE_REVISIONS);
}

export function openNamedFirmware({ esp, efivars, keys, revisions }: ApplianceOptions): Firmware {
  const { owner, image } = APPLIANCE_PLACES.keys;
  return openFirmware({ esp, efivars, keys: { owner: keys ?? owner, image: keys ?? image } }, revisions);
}

async function keygen(folder: string): Promise<void> {
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

async function sign(image: string, options: { key: string; into: string; json: boolean }): Promise<void> {
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
