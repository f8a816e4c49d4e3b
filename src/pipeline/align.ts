/**
 * Brings the next site's log in line with this one's, so that the stream of requests can go on:
 * what the next site has beyond the last point that both share is cut there, and the stream starts after it.
 */

import { OperatingError } from "../base/operating-error.ts";
import { type Epoch, type Sequence, sequence } from "../base/units.ts";
import type { LinkSender } from "../link/link-sender.ts";
import { askCut, askPosition, type Call } from "./calls.ts";
import { epochAt, type LogPosition, sharedPoint } from "./history.ts";

/**
 * @returns the sequence to stream from, where the next site's last request is plainly one of ours that we can go on
 *   from; undefined where the histories must be compared first
 */
export function resumeFrom(
  own: LogPosition,
  next: { readonly lastEpoch: Epoch; readonly appended: Sequence },
): Sequence | undefined {
  if (next.appended > own.appended || next.appended < own.retired) return undefined;
  if (epochAt(own.history, next.appended) !== next.lastEpoch) return undefined;
  return sequence(next.appended + 1);
}

/**
 * Lets the link stream, once the next site's log is in line.
 *
 * @param next a link that is up
 * @param own  asked again at each use, since it moves
 * Rejects with `mirror.resync-needed` where the journal no longer reaches back to the shared point, or as a call does.
 */
export async function align(next: Pick<LinkSender, "remote" | "call" | "stream" | "cut">, own: () => LogPosition) {
  const call: Call = (method, body, deadline) => next.call(method, body, deadline);
  const theirs = await askPosition(call);
  const shared = sharedPoint(own(), theirs);
  if (shared < own().retired) {
    throw new OperatingError(
      "mirror.resync-needed",
      `Site ${next.remote} shares this site's log up to sequence ${shared} only (it has ${theirs.appended} requests), and the journal here begins at ${own().retired + 1}.`,
      `Site ${next.remote} must be resynced from scratch: set up every site of the group anew and copy the volumes back through the primary.`,
    );
  }
  if (theirs.appended === shared) {
    next.stream(sequence(shared + 1));
    return;
  }
  await askCut(call, shared);
  // In a new session, since ACKs of what was dropped may still be under way in this one.
  next.cut(shared);
}
