/**
 * Ending the machine in order. Where a site runs, whoever asks for it is told what that means for hosts and other sites, and
 * asked once more; a script says yes in the command.
 */

import { OperatingError } from "../base/operating-error.ts";
import type { SiteStatus } from "../site/status.ts";
import { askSoon } from "./ask-soon.ts";
import { type ConsoleCommand, command, type Desk } from "./command.ts";

export const POWER: readonly ConsoleCommand[] = [
  command("restart", "[yes]", "end the site in order, and start the appliance anew", (desk, words, signal) =>
    end(desk, words, signal, { until: "until this appliance is back", carryOut: () => desk.appliance.restart() }),
  ),
  command("power-off", "[yes]", "end the site in order, and switch the appliance off", (desk, words, signal) =>
    end(desk, words, signal, { until: "until it is switched on again", carryOut: () => desk.appliance.powerOff() }),
  ),
];

async function end(
  desk: Desk,
  [word]: readonly string[],
  signal: AbortSignal,
  { until, carryOut }: { until: string; carryOut: () => Promise<string> },
): Promise<void> {
  const { conversation } = desk;
  if (word !== undefined && word !== "yes") {
    throw new OperatingError("command.parameters", `'${word}' is no answer.`, "Give yes, or nothing to be asked.");
  }
  const consequence = word === undefined ? await consequenceOf(desk, signal) : undefined;
  if (consequence !== undefined) {
    conversation.say(`${consequence} ${until}.\n`);
    const answer = await conversation.readAnswer("Go on? (yes, no) [no]: ");
    if (answer?.trim() !== "yes") {
      conversation.say("Nothing is ended.\n");
      return;
    }
  }
  conversation.say(`${await carryOut()}\n`);
}

/** What ending the site means to others; undefined where none runs. */
async function consequenceOf({ appliance }: Desk, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { value } = await askSoon(appliance, ["show", "status"], signal);
    return describe(value as SiteStatus);
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    if (error.code === "control.silent") return "A site runs here that does not answer. Whatever it serves is away";
    return undefined;
  }
}

function describe({ site, role, state, target }: SiteStatus): string {
  if (role === "primary") {
    const hosts = target?.sessions.length ?? 0;
    return `Site ${site} is ${state}, with ${hosts} ${hosts === 1 ? "session" : "sessions"} of hosts, which wait`;
  }
  return `Site ${site} is ${state}; the sites that feed it do not acknowledge writes`;
}
