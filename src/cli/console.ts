/** `antipode console`: the interactive console, on the terminal that it was started from or on a serial line. */

import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { millis } from "../base/units.ts";
import type { Appliance } from "../console/appliance.ts";
import { Confirmation } from "../console/confirmation.ts";
import { type Access, ConsoleLine } from "../console/console-line.ts";
import type { TerminalKind } from "../console/line-editor.ts";
import { Login } from "../console/login.ts";
import { Users } from "../console/users.ts";
import { renderFirmware } from "../firmware/render.ts";
import { userName } from "../platform/linux/host-files.ts";
import { linuxFiles } from "../platform/linux/linux-files.ts";
import { linuxPasswords } from "../platform/linux/linux-passwords.ts";
import { linuxTerminals } from "../platform/linux/linux-terminals.ts";
import { linuxWorld } from "../platform/linux/linux-world.ts";
import { runProgram } from "../platform/linux/run-program.ts";
import { SPEEDS, type Speed } from "../platform/terminal.ts";
import { askSite } from "../site/control-client.ts";
import { VERSION } from "../site/version.ts";
import { isAppliance, openFirmware } from "./appliance-firmware.ts";
import { findSocket, type SiteOptions } from "./ctl.ts";
import { fail } from "./failure.ts";
import { lookAtMachine } from "./machine.ts";
import { openRevisions } from "./revisions.ts";

export interface ConsoleOptions extends SiteOptions {
  readonly revisions: string;
  readonly tty?: string;
  readonly speed: string;
  readonly terminal?: string;
  readonly apply?: string;
  readonly status?: string;
}

const USERS_FILE = "users.json";
/** A program that carries out a revision may stop a site and start it again, which drains a journal. */
const APPLY_MAX = millis(5 * 60_000);
const RESTART_MAX = millis(10_000);
/** Nobody can log in before it has ended. */
const STATUS_MAX = millis(30_000);

const STAYS =
  "A commit waits to be confirmed. This command stays until it is, or goes back when it is not; Ctrl-C ends it now.\n";

export async function runConsole(options: ConsoleOptions): Promise<void> {
  const world = linuxWorld();
  const { clock } = world;
  const files = linuxFiles();
  const revisions = openRevisions(options.revisions, files, clock);
  const appliance: Appliance = {
    clock,
    files,
    revisions,
    ask: async (words, onProgress, signal) =>
      askSite(world, await findSocket(world, options), words, { onProgress, signal }),
    apply: ({ number }, how) => apply(options.apply, revisions.path(number), how?.overwrite ?? false),
    look: () => lookAtMachine(world),
    firmware: openFirmware(),
    restart,
    describe: () => describeMachine(options.status),
  };
  const users = new Users(`${revisions.folder}/${USERS_FILE}`, files, linuxPasswords(), world.random);
  const access: Access =
    options.tty === undefined
      ? { kind: "user", name: userName() }
      : { kind: "login", users, login: new Login(users, clock, (text) => process.stderr.write(`${text}\n`)) };
  const tell = (text: string) => {
    line.notice(text);
    // Of a serial line, on which nobody may be logged in, the log tells it as well.
    if (options.tty !== undefined) process.stderr.write(text);
  };
  const confirmation = new Confirmation(appliance, tell, fail);
  const line = new ConsoleLine({
    terminals: linuxTerminals(clock),
    path: options.tty,
    speed: options.tty === undefined ? undefined : speedOf(options.speed),
    kind: kindOf(options.terminal ?? (options.tty === undefined ? process.env.TERM : undefined) ?? "vt100"),
    access,
    appliance,
  });
  // A hang-up must not end what goes back from a commit that cut the operator off.
  process.on("SIGHUP", () => line.close());
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      line.close();
      confirmation.close();
    });
  }
  await confirmation.watch();
  const end = await line.serve();
  if (await confirmation.isPending()) {
    // A terminal that is gone fails what is written to it, and nothing may fail here.
    if (end === "left") process.stdout.write(STAYS);
    await confirmation.settled();
  }
  confirmation.close();
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

async function restart(): Promise<string> {
  if (!isAppliance()) {
    throw new OperatingError(
      "console.not-appliance",
      "This machine is no appliance, and not Antipode's to restart.",
      "Restart it by its own means.",
    );
  }
  const { code, output } = await runProgram("reboot", [], RESTART_MAX);
  if (code === 0) return "The site is ended in order, and the appliance starts anew.";
  throw new OperatingError("console.restart", `reboot failed: ${output}.`, "Use the power button.");
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

function speedOf(text: string): Speed {
  const speed = SPEEDS.find((each) => String(each) === text);
  if (speed !== undefined) return speed;
  throw new OperatingError("usage.console", `${text} is no speed.`, `Give one of ${SPEEDS.join(", ")}.`);
}

function kindOf(name: string): TerminalKind {
  return name === "dumb" || name === "unknown" ? "dumb" : "vt100";
}
