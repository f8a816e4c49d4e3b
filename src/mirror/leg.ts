import type { LinkSender } from "../link/link-sender.ts";

/** One copy's way: the link to its first site, which stores it or passes it on. */
export interface Leg {
  /** The sites of the leg, first to last. */
  readonly sites: readonly string[];
  readonly sender: LinkSender;
}

/**
 * Whether the leg's first site has all that has left the journal here: its log has been compared with this one's, and
 * goes on from there. One that merely answers may be another site's, or a blank one.
 */
export function isInStep(leg: Leg): boolean {
  return leg.sender.state.kind === "streaming";
}

/** Whether the leg's first site answers: calls reach it. */
export function isUp(leg: Leg): boolean {
  return leg.sender.state.kind === "holding" || leg.sender.state.kind === "streaming";
}
