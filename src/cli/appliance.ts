/** The machine that a console is on, as the console is handed it. */

import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { millis } from "../base/units.ts";
import type { Revisions } from "../config/revisions.ts";
import type { Appliance } from "../console/appliance.ts";
import { renderFirmware } from "../firmware/render.ts";
import type { Files } from "../platform/files.ts";
import { packFiles } from "../platform/linux/linux-archive.ts";
import { lightDrive } from "../platform/linux/linux-drive-lamp.ts";
import { runProgram } from "../platform/linux/run-program.ts";
import type { World } from "../platform/world.ts";
import { askSite } from "../site/control-client.ts";
import { VERSION } from "../site/version.ts";
import { openFirmware } from "./appliance-firmware.ts";
import { APPLIANCE_PLACES, isAppliance } from "./appliance-places.ts";
import { findSocket, type SiteOptions } from "./ctl.ts";
import { lookAtMachine } from "./machine.ts";
import { withStick } from "./stick.ts";

export interface ApplianceOptions extends SiteOptions {
  /** Programs of the operator; see docs/console.md. */
  readonly apply?: string;
  readonly status?: string;
  readonly usb?: string;
}

/** A program that carries out a revision may stop a site and start it again, which drains a journal. */
const APPLY_MAX = millis(5 * 60_000);
const END_MAX = millis(10_000);
/** Nobody can log in before it has ended. */
const STATUS_MAX = millis(30_000);

/** Elsewhere whoever starts the site says where its log goes. */
const LOGS = "/log";
const DMESG_MAX = millis(10_000);
const DMESG_CHARACTERS_MAX = 1024 * 1024;
/** /init looks for it in the configuration partition, and has /sbin/factory-reset do the rest. */
const RESET_MARK = "factory-reset";

export function openAppliance(world: World, files: Files, revisions: Revisions, options: ApplianceOptions): Appliance {
  const { clock } = world;
  return {
    clock,
    files,
    revisions,
    ask: async (words, onProgress, signal) =>
      askSite(world, await findSocket(world, options), words, { onProgress, signal }),
    reach: (path, work) => withStick(options.usb, path, work),
    apply: ({ number }, how) => apply(options.apply, revisions.path(number), how?.overwrite ?? false),
    look: () => lookAtMachine(world),
    logs: isAppliance() ? LOGS : undefined,
    kernelMessages,
    pack: packFiles,
    light: (drive) => lightDrive(drive),
    firmware: openFirmware(APPLIANCE_PLACES, revisions.folder),
    reset: async () => {
      assertAppliance();
      await files.replace(`${revisions.folder}/${RESET_MARK}`, new Uint8Array(0));
      return end("reboot", "The appliance starts anew, and has forgotten all of it then.");
    },
    restart: () => end("reboot", "The site is ended in order, and the appliance starts anew."),
    powerOff: () => end("poweroff", "The site is ended in order, and the appliance switches itself off."),
    describe: () => describeMachine(options.status),
  };
}

/** Has the program that the operator named carry a revision out. */
async function apply(program: string | undefined, revision: string, overwrite: boolean): Promise<string> {
  const args = overwrite ? [revision, "--overwrite"] : [revision];
  if (program === undefined) return `A site that is started by antipode serve ${args.join(" ")} runs on it.`;
  const { code, output } = await runProgram(program, args, APPLY_MAX);
  if (code === 0) return output === "" ? "It is carried out." : output;
  const end = code === undefined ? "could not be run to its end" : `ended with ${code}`;
  throw new OperatingError(
    "console.apply",
    `The revision is kept, but ${[program, ...args].join(" ")} ${end}: ${output || "it said nothing"}.`,
    "See what it needs, and run it again; or take up an older revision by rollback and commit.",
  );
}

/** @param program tells the first process, which does the rest */
async function end(program: "reboot" | "poweroff", what: string): Promise<string> {
  assertAppliance();
  const { code, output } = await runProgram(program, [], END_MAX);
  if (code === 0) return what;
  throw new OperatingError("console.restart", `${program} failed: ${output}.`, "Use the power button.");
}

function assertAppliance(): void {
  if (isAppliance()) return;
  throw new OperatingError(
    "console.not-appliance",
    "This machine is no appliance, and not Antipode's to restart or to reset.",
    "Do it by the machine's own means.",
  );
}

async function kernelMessages(): Promise<string> {
  const { code, output } = await runProgram("dmesg", [], DMESG_MAX, DMESG_CHARACTERS_MAX);
  return code === 0 ? `${output}\n` : `dmesg failed: ${output}\n`;
}

/** What the program that the operator named says of the machine; a login must not fail by it. */
async function describeMachine(program: string | undefined): Promise<string> {
  const about = `Antipode ${VERSION}\n${isAppliance() ? await describeFirmware() : ""}`;
  if (program === undefined) return about;
  const { code, output } = await runProgram(program, [], STATUS_MAX);
  return `${about}${output}\n${code === 0 ? "" : `${program} did not run to its end.\n`}`;
}

async function describeFirmware(): Promise<string> {
  try {
    return renderFirmware(await openFirmware().status())
      .replace(/^/gm, "  ")
      .trimEnd()
      .concat("\n");
  } catch (error) {
    if (!isOperatingError(error)) throw error;
    return `  firmware ${error.what}\n`;
  }
}
