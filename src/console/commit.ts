/** From a candidate to a revision that is carried out: the one path on which an operator's configuration comes to be. */

import { OperatingError } from "../base/operating-error.ts";
import { millis } from "../base/units.ts";
import { Candidate } from "../config/candidate.ts";
import { describePlacement } from "../config/placement.ts";
import type { Desk } from "./command.ts";
import { confirm, newestFault } from "./committed.ts";

const MINUTE = 60_000;

export interface CommitOptions {
  readonly comment?: string;
  /** Goes back unless it is confirmed within so many. */
  readonly minutes?: number;
  /** Lays its drives out anew, whatever they hold. */
  readonly overwrite?: boolean;
}

/** Throws `command.unknown` in operational mode. */
export function candidateOf({ candidate }: Desk): Candidate {
  if (candidate !== undefined) return candidate;
  throw new OperatingError("command.unknown", "Nothing is being configured.", "Type configure first.");
}

/** Says whether the candidate could be committed. Throws `config.invalid`. */
export async function check(desk: Desk): Promise<void> {
  const config = desk.appliance.revisions.check(candidateOf(desk).text);
  const { warnings } = describePlacement(config);
  const lines = [`Valid: site ${config.site.name}, ${config.role} of group ${config.group}.`];
  for (const { text } of warnings) lines.push(`  warning: ${text}`);
  await desk.conversation.print(lines.join("\n"));
}

/** Makes the candidate the newest revision, and has it carried out. */
export async function commit(desk: Desk, { comment, minutes, overwrite = false }: CommitOptions): Promise<void> {
  const { appliance, conversation, user } = desk;
  const candidate = candidateOf(desk);
  if (!candidate.changed && (await newestFault(desk)) === undefined) {
    const due = await appliance.revisions.confirmationDue();
    if (due !== undefined && minutes === undefined) return confirm(desk);
    conversation.say("Nothing was changed, so there is nothing to commit.\n");
    return;
  }
  const { text, base } = candidate;
  const confirmWithin = minutes === undefined ? undefined : millis(minutes * MINUTE);
  const revision = await appliance.revisions.commit({ text, author: user, comment, base, confirmWithin });
  desk.candidate = new Candidate(revision.number, revision.text);
  conversation.say(`Revision ${revision.number} is committed.\n`);
  if (revision.unconfirmed !== undefined) {
    const { backTo } = revision.unconfirmed;
    conversation.say(`Type confirm within ${minutes} min, or it goes back to revision ${backTo}.\n`);
  }
  conversation.say(`${await appliance.apply(revision, { overwrite })}\n`);
}
