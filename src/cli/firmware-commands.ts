/** `antipode firmware`: boot slots and updates of the appliance that it runs on, and what makers of updates need. */

import type { Command } from "commander";
import { VERSION } from "../site/version.ts";
import { APPLIANCE_PLACES, APPLIANCE_REVISIONS, PRIVATE_KEY, PUBLIC_KEY } from "./appliance-places.ts";
import type { CommandOptions } from "./firmware.ts";

/** Loaded only when it is called for: see src/main.ts. */
const actions = () => import("./firmware.ts");

export function addFirmwareCommands(program: Command): void {
  const firmware = program.command("firmware").description("boot slots and updates of this appliance; making updates");

  onAppliance(firmware.command("show"), "what runs, what the next start will be of, and why").action(
    async (options: CommandOptions) => (await actions()).show(options),
  );
  onAppliance(
    firmware.command("check").argument("<file>", "an update file"),
    "look at an update, change nothing",
  ).action(async (file: string, options: CommandOptions) => (await actions()).check(file, options));
  onAppliance(
    firmware.command("install").argument("<file>", "an update file"),
    "put an update into the other slot",
  ).action(async (file: string, options: CommandOptions) => (await actions()).install(file, options));
  onAppliance(firmware.command("rollback").argument("[version]"), "have the next start be of the other slot").action(
    async (version: string | undefined, options: CommandOptions) => (await actions()).rollback(version, options),
  );
  onAppliance(firmware.command("good"), "what runs works: start it from now on without counting").action(
    async (options: CommandOptions) => (await actions()).good(options),
  );
  onAppliance(
    firmware.command("tidy"),
    "at the start: remove what a power cut left, once the partition is checked",
  ).action(async (options: CommandOptions) => (await actions()).tidy(options));
  addMakersCommands(firmware);
}

function addMakersCommands(firmware: Command): void {
  firmware
    .command("keygen")
    .description(`make a key pair: ${PRIVATE_KEY} to sign with, ${PUBLIC_KEY} for the appliances`)
    .argument("<folder>", "where it is put")
    .action(async (folder: string) => (await actions()).keygen(folder));
  firmware
    .command("os-release")
    .description("the os-release that a unified kernel image of this release must have")
    .option("--release <version>", "a version of your own", VERSION)
    .action(async (options: { release: string }) => (await actions()).printOsRelease(options));
  firmware
    .command("sign")
    .description("make an update file of a unified kernel image")
    .argument("<image>", "the image")
    .requiredOption("--key <file>", "private key, in PEM")
    .requiredOption("--into <file>", "the update file")
    .option("--json", "for machines", false)
    .action(async (image: string, options: { key: string; into: string; json: boolean }) =>
      (await actions()).sign(image, options),
    );
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
