/** What an operator does to the machine itself, standing before it. */

import { millis } from "../base/units.ts";
import { type ConsoleCommand, command, type Desk, wholeNumber } from "./command.ts";

const LOCATE_SECONDS = 60;
const LOCATE_SECONDS_MAX = 3600;

export const MACHINE: readonly ConsoleCommand[] = [
  command("locate", "DRIVE [SECONDS]", "make a drive's lamp blink, for a minute or as long as is said", locate),
];

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
