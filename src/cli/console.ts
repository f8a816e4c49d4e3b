/** `antipode console`: the interactive console, on the terminal that it was started from or on a serial line. */

import { OperatingError } from "../base/operating-error.ts";
import { Confirmation } from "../console/confirmation.ts";
import { type Access, ConsoleLine } from "../console/console-line.ts";
import type { TerminalKind } from "../console/line-editor.ts";
import { Login } from "../console/login.ts";
import { Users } from "../console/users.ts";
import { userName } from "../platform/linux/host-files.ts";
import { linuxFiles } from "../platform/linux/linux-files.ts";
import { linuxPasswords } from "../platform/linux/linux-passwords.ts";
import { linuxTerminals } from "../platform/linux/linux-terminals.ts";
import { linuxWorld } from "../platform/linux/linux-world.ts";
import { SPEEDS, type Speed } from "../platform/terminal.ts";
import { type ApplianceOptions, openAppliance } from "./appliance.ts";
import { fail } from "./failure.ts";
import { openRevisions } from "./revisions.ts";

export interface ConsoleOptions extends ApplianceOptions {
  readonly revisions: string;
  readonly tty?: string;
  readonly speed: string;
  readonly terminal?: string;
}

/** In the folder of the revisions. */
export const USERS_FILE = "users.json";

const STAYS =
  "A commit waits to be confirmed. This command stays until it is, or goes back when it is not; Ctrl-C ends it now.\n";

export async function runConsole(options: ConsoleOptions): Promise<void> {
  const world = linuxWorld();
  const { clock } = world;
  const files = linuxFiles();
  const revisions = openRevisions(options.revisions, files, clock);
  const appliance = openAppliance(world, files, revisions, options);
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

function speedOf(text: string): Speed {
  const speed = SPEEDS.find((each) => String(each) === text);
  if (speed !== undefined) return speed;
  throw new OperatingError("usage.console", `${text} is no speed.`, `Give one of ${SPEEDS.join(", ")}.`);
}

function kindOf(name: string): TerminalKind {
  return name === "dumb" || name === "unknown" ? "dumb" : "vt100";
}
