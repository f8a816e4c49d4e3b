/** Operational mode: what the site is asked, and what concerns this login. */

import { OperatingError } from "../base/operating-error.ts";
import { millis } from "../base/units.ts";
import { formatTime } from "../base/wall-time.ts";
import { Candidate } from "../config/candidate.ts";
import { readKeys } from "../config/key-words.ts";
import type { Entry } from "../config/revisions.ts";
import { CLEAR_REGISTRATION, CLEAR_RESERVATION, COMMANDS } from "../site/commands.ts";
import { clearRegistration, clearReservation } from "./clear-reservation.ts";
import {
  type ConsoleCommand,
  columns,
  command,
  type Desk,
  renderCommands,
  renderError,
  showProgress,
  wholeNumber,
} from "./command.ts";
import { assertCommitted, confirm, newestFault, newestText, revisionNumber } from "./committed.ts";
import { FIRMWARE } from "./firmware-commands.ts";
import { MACHINE } from "./machine-commands.ts";
import { POWER } from "./power-commands.ts";
import { SETUP } from "./setup.ts";

/** How often the live view asks for the status. */
const MONITOR_PERIOD = millis(2000);

const COLUMNS_MIN = 20;
const COLUMNS_MAX = 500;

/** What a site calls help is only a part of ours, and what it reloads is what is committed. */
const ELSEWHERE: ReadonlySet<string> = new Set(["help", "reload"]);

/** Those of the site's table, asked as `antipode ctl` asks them; what a site has to be told twice is asked for here. */
const siteCommands = COMMANDS.filter(({ words }) => !ELSEWHERE.has(words[0])).map((each): ConsoleCommand => {
  if (each === CLEAR_RESERVATION) return { ...each, run: clearReservation };
  if (each === CLEAR_REGISTRATION) return { ...each, run: clearRegistration };
  const { words, parameters, summary } = each;
  return {
    words,
    parameters,
    summary,
    run: async ({ appliance, conversation }, given, signal) => {
      const { text } = await showProgress(conversation, (onProgress) =>
        appliance.ask([...words, ...given], onProgress, signal),
      );
      await conversation.print(text);
    },
  };
});

export const OPERATIONAL: readonly ConsoleCommand[] = [
  ...siteCommands,
  ...FIRMWARE,
  ...POWER,
  ...MACHINE,
  command("show appliance", "", "the machine itself, as before each login", async ({ appliance, conversation }) =>
    conversation.print(await appliance.describe()),
  ),
  command("monitor", "", "the site's state, drawn again and again until a key is pressed", monitor),
  command(
    "show configuration",
    "[PATH]",
    "the newest revision of the configuration, or a part of it",
    async (desk, [path]) => {
      const newest = await newestText(desk);
      await desk.conversation.print(newest.show(path === undefined ? [] : readKeys(path)));
    },
  ),
  command("show revisions", "", "the configuration's revisions, with time, author and comment", async (desk) => {
    const entries = await desk.appliance.revisions.list();
    await desk.conversation.print(
      entries.length === 0 ? "There is no revision yet.\n" : columns(entries.map(entryRow)),
    );
  }),
  command("show revision", "N", "a revision of the configuration", async (desk, [number]) => {
    const revision = await desk.appliance.revisions.read(revisionNumber(number));
    await desk.conversation.print(new Candidate(revision.number, revision.text).show());
  }),
  command("configure", "", "change the configuration", async (desk) => {
    // Asked for from configuration mode by run: what was changed there stays.
    if (desk.candidate !== undefined) return;
    desk.candidate = await newestText(desk);
    const fault = await newestFault(desk);
    if (fault !== undefined) {
      desk.conversation.say(`${fault.what}\nThis is what the one before it has; commit makes a new revision of it.\n`);
    }
    if (desk.candidate.base === 0) desk.conversation.say("There is no revision yet: this will be the first.\n");
  }),
  SETUP,
  command("confirm", "", "keep what was committed by commit confirmed", confirm),
  command(
    "terminal length",
    "ROWS",
    "rows of this terminal; 0 shows everything without stopping",
    async (desk, [rows]) => {
      desk.conversation.settings.rows = wholeNumber(rows, "a number of rows", 0, 1000);
    },
  ),
  command("terminal width", "COLUMNS", "columns of this terminal", async (desk, [width]) => {
    desk.conversation.settings.columns = wholeNumber(width, "a number of columns", COLUMNS_MIN, COLUMNS_MAX);
  }),
  command("terminal dumb", "", "this terminal understands no cursor movement", async (desk) => {
    desk.conversation.settings.kind = "dumb";
  }),
  command("terminal vt100", "", "this terminal understands what a VT100 does", async (desk) => {
    desk.conversation.settings.kind = "vt100";
  }),
  command("help", "", "the commands", async (desk) => desk.conversation.print(renderCommands(desk.operational))),
  command("exit", "", "leave the console", async (desk) => {
    assertCommitted(desk);
    desk.leave();
  }),
];

function entryRow({ number, revision, fault }: Entry): readonly [string, string] {
  if (revision === undefined) return [String(number), fault === undefined ? "" : `can't be read: ${fault.what}`];
  const { time, author, comment, unconfirmed } = revision;
  const waits =
    unconfirmed === undefined
      ? ""
      : ` (not confirmed: back to ${unconfirmed.backTo} at ${formatTime(unconfirmed.until)})`;
  return [String(number), `${formatTime(time)}  ${author}  ${comment.split("\n", 1)[0]}`.trimEnd() + waits];
}

async function monitor({ appliance, conversation }: Desk, _: readonly string[], signal: AbortSignal): Promise<void> {
  let before: string | undefined;
  for (;;) {
    const text = await statusText();
    if (conversation.settings.kind === "vt100") {
      await conversation.draw(`${text}\nAny key ends this view.`, before === undefined);
    } else if (text !== before) {
      // A dumb terminal can't be drawn over; what did not change is not worth half a minute of its time.
      conversation.say(`${before === undefined ? "Any key ends this view.\n" : ""}\n${text}`);
    }
    before = text;
    if ((await conversation.keyWithin(MONITOR_PERIOD)) !== undefined) break;
  }
  // Of a key that sends several bytes, the others are no command.
  conversation.forgetTyped();
  conversation.say("\n");

  async function statusText(): Promise<string> {
    try {
      return (await appliance.ask(["show", "status"], () => {}, signal)).text;
    } catch (error) {
      if (error instanceof OperatingError) return renderError(error);
      throw error;
    }
  }
}
