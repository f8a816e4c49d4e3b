/** `antipode revisions`: the revision of its configuration that a site on this machine is started from. */

import { renderRights, rightsOf } from "../appliance/site-rights.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { changesBetween } from "../config/changes.ts";
import { resolvePath } from "../config/paths.ts";
import { type Fault, Revisions } from "../config/revisions.ts";
import type { Clock } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import { realPath, writeText } from "../platform/linux/host-files.ts";
import { linuxClock } from "../platform/linux/linux-clock.ts";
import { linuxFiles } from "../platform/linux/linux-files.ts";
import { readConfig } from "./config-file.ts";
import { setUpNetwork } from "./network.ts";

/** The revisions in a folder that was named on the command line. */
export function openRevisions(folder: string, files: Files, clock: Clock): Revisions {
  return new Revisions(realPath(folder) ?? resolvePath(`${process.cwd()}/`, folder), files, clock, { realPath });
}

export interface RevisionOptions {
  readonly revisions: string;
  /** File that gets what the site process has to be given, a line for each. */
  readonly rights?: string;
  /** Sets up the appliance's network as that revision says, which saves a start of this program when it boots. */
  readonly network?: boolean;
}

/** Prints the path of its file, and on standard error what is wrong with newer ones, and with the network. */
export async function printRevision(at: "boot" | "current", options: RevisionOptions): Promise<void> {
  const revisions = openRevisions(options.revisions, linuxFiles(), linuxClock());
  const choice = await revisions[at]();
  if (choice.kind === "safe-mode") throw nothingToStart(revisions.folder, choice.faults);
  for (const { error } of choice.faults) process.stderr.write(`${error.what}\n`);
  if (options.rights !== undefined) writeText(options.rights, renderRights(rightsOf(choice.config)));
  process.stdout.write(`${revisions.path(choice.revision.number)}\n`);
  if (options.network !== true) return;
  try {
    setUpNetwork(choice.config);
  } catch (error) {
    // A site whose network is not whole may still be of use.
    if (!isOperatingError(error)) throw error;
    process.stderr.write(`${error.what}\n`);
  }
}

/** Prints what a machine that runs on the first of two configurations has to do anew for the second: any of `network`, `site` and `hosts`. */
export function printChanges(before: string, after: string): void {
  const changes = changesBetween(readConfig(before), readConfig(after));
  const words = (["network", "site", "hosts"] as const).filter((word) => changes[word]);
  process.stdout.write(`${words.join(" ")}\n`);
}

function nothingToStart(folder: string, faults: readonly Fault[]): OperatingError {
  const why = faults.length === 0 ? "there is none" : faults.map(({ error }) => error.what).join("; ");
  return new OperatingError(
    "revision.none",
    `No revision of the configuration in ${folder} can be used: ${why}.`,
    "Log in on a console, and commit one.",
  );
}
