/** What an operator's commands have to know of the revisions that there are. */

import { OperatingError } from "../base/operating-error.ts";
import { Candidate } from "../config/candidate.ts";
import { type Desk, wholeNumber } from "./command.ts";

/** Throws `command.uncommitted`. */
export function assertCommitted({ candidate }: Desk): void {
  if (!candidate?.changed) return;
  throw new OperatingError(
    "command.uncommitted",
    "There are changes that were not committed.",
    "Type commit to keep them, or discard to forget them, and then exit.",
  );
}

/** Keeps what waits to be confirmed. */
export async function confirm(desk: Desk): Promise<void> {
  const { number } = await desk.appliance.revisions.confirm();
  desk.conversation.say(`Revision ${number} is confirmed.\n`);
}

/** Throws `command.parameters`. */
export function revisionNumber(text: string): number {
  return wholeNumber(text, "the number of a revision", 1, 999_999_999);
}

/** The newest revision to begin changes from; where it can't be read, the content of the one before. */
export async function newestText({ appliance }: Desk): Promise<Candidate> {
  const numbers = await appliance.revisions.numbers();
  for (const number of numbers) {
    try {
      return new Candidate(numbers[0], (await appliance.revisions.read(number)).text);
    } catch (error) {
      // show revisions tells what is wrong with it; a new one can be made all the same.
      if (!(error instanceof OperatingError)) throw error;
    }
  }
  return new Candidate(numbers[0] ?? 0, "");
}

/** Why the newest revision can't be read, if it can't. */
export async function newestFault({ appliance }: Desk): Promise<OperatingError | undefined> {
  const [newest] = await appliance.revisions.list();
  return newest?.fault;
}
