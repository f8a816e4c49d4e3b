/**
 * Brings the next site's log in line with this one's, so that the stream of requests can go on:
 * what the next site has beyond the last point that both share is cut there, and the stream starts after it.
 */

import { OperatingError } from "../base/operating-error.ts";
import { type Epoch, type Sequence, sequence } from "../base/units.ts";
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
 * @param own asked again at each use, since it moves
 * @returns the sequence to stream from
 * Rejects with `mirror.resync-needed` where the journal no longer reaches back to the shared point.
 */
export async function align(site: string, call: Call, own: () => LogPosition): Promise<Sequence> {
  const next = await askPosition(call);
  const shared = sharedPoint(own(), next);
  if (shared < own().retired) {
    throw new OperatingError(
      "mirror.resync-needed",
      `Site ${site} shares this site's log up to sequence ${shared} only (it has ${next.appended} requests), and the journal here begins at ${own().retired + 1}.`,
      `Site ${site} must be resynced from scratch: set up every site of the group anew and copy the volumes back through the primary.`,
    );
  }
  if (next.appended > shared) await askCut(call, shared);
  return sequence(shared + 1);
}
