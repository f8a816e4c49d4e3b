/** What an operator does to the machine itself, standing before it. */

import { millis } from "../base/units.ts";
import { size } from "../site/render.ts";
import { type ConsoleCommand, command, type Desk, UNNAMED, wholeNumber } from "./command.ts";
import { newestText } from "./committed.ts";
import { withFile } from "./outside-file.ts";
import { supportFiles } from "./support-bundle.ts";
import { wrapped } from "./wrapped.ts";

const LOCATE_SECONDS = 60;
const LOCATE_SECONDS_MAX = 3600;

export const MACHINE: readonly ConsoleCommand[] = [
  command("support bundle", "FILE", "write all that whoever helps has to see into a .tar.gz; no secrets", bundle),
  command(
    "factory reset",
    "",
    "forget configuration, users and logs, and start anew; data drives are left alone",
    reset,
  ),
  command("locate", "DRIVE [SECONDS]", "make a drive's lamp blink, for a minute or as long as is said", locate),
];

async function bundle(desk: Desk, [file]: readonly string[], signal: AbortSignal): Promise<void> {
  const { appliance, conversation } = desk;
  const said = await withFile(desk, file, async (path) => {
    conversation.say("Gathering.\n");
    const name = (await newestText(desk)).value(["site", "name"]) ?? UNNAMED;
    const packed = await appliance.pack(`${name}-support`, await supportFiles(appliance, signal));
    await appliance.files.replace(path, packed);
    return `${path} has ${size(packed.length)}`;
  });
  conversation.say(`${said}.\n`);
}

const RESET =
  "This removes every revision of the configuration, the users and their passwords, the owner's keys for updates, and " +
  "all logs; then the appliance starts anew, as it came. The firmware stays. What is on the data drives and in the " +
  "journal stays as well: a site of the same name and group that is set up on them goes on with it.\n";

async function reset(desk: Desk): Promise<void> {
  const { appliance, conversation } = desk;
  const name = (await newestText(desk)).value(["site", "name"]) ?? UNNAMED;
  conversation.say(wrapped(RESET, conversation.settings.columns - 1));
  const answer = await conversation.readAnswer(`Type ${name} to have it so: `);
  conversation.say(answer?.trim() === name ? `${await appliance.reset()}\n` : "Nothing is removed.\n");
}

async function locate({ appliance, conversation }: Desk, [drive, time]: readonly string[]): Promise<void> {
  const seconds = time === undefined ? LOCATE_SECONDS : wholeNumber(time, "a number of seconds", 1, LOCATE_SECONDS_MAX);
  const lamp = await appliance.light(drive);
  try {
    const what =
      lamp.kind === "locate"
        ? "The lamp of its bay blinks"
        : "Its bay has no lamp of its own: it is read in a rhythm, so its activity lamp blinks";
    conversation.say(`${what} for ${seconds} s; any key ends that.\n`);
    await conversation.keyWithin(millis(seconds * 1000));
    // Of a key that sends several bytes, the others are no command.
    conversation.forgetTyped();
  } finally {
    await lamp.off();
  }
}
