/**
 * Who may log in to a target, where, and what of it each initiator is given. All of it can be changed while the target
 * serves: whoever is given less is cut off from it, and is told.
 */

import type { Chap } from "./chap.ts";
import { LoginStatus } from "./constants.ts";
import type { Portal } from "./portal.ts";
import type { LunMap } from "./scsi/lun-view.ts";

/** What an initiator is given of a target. */
export interface Grant {
  /** The LUNs that it uses, each with that of the target's unit; it sees no other unit. All under their own unless given. */
  readonly luns?: LunMap;
}

/** Where an initiator finds the target instead of here. */
export interface Redirection {
  /** A host, or an IPv6 address in brackets, with `:port` unless that is 3260. */
  readonly address: string;
  /**
   * False, and the initiator comes back here when its session has ended (0101h); true, and it may keep to the other address for
   * good (0102h), which nothing can take back.
   */
  readonly permanent?: boolean;
}

export interface TargetAccess {
  /** Tags of the portal groups that the target is offered at: elsewhere it does not exist. All of them unless given. */
  readonly portalGroups?: readonly number[];
  /** `undefined` for an initiator that may not log in, and does not see the target in discovery. All to all unless given. */
  readonly grant?: (initiatorName: string, portal: Portal) => Grant | undefined;
  /** What initiators have to prove to log in; nothing unless given. */
  readonly chap?: Chap;
  /**
   * Sends an initiator that is given something elsewhere, also while the target is not available here. Asked as a login
   * begins, before CHAP; sessions that are there stay.
   */
  readonly redirect?: (initiatorName: string, portal: Portal) => Redirection | undefined;
}

const EVERYTHING: Grant = {};

/** @returns a `LoginStatus` where it is given nothing */
export function grantTo(access: TargetAccess, initiatorName: string, portal: Portal): Grant | number {
  if (access.portalGroups?.includes(portal.groupTag) === false) return LoginStatus.TargetNotFound;
  if (access.grant === undefined) return EVERYTHING;
  return access.grant(initiatorName, portal) ?? LoginStatus.AuthorizationFailure;
}

/** Whether one that has logged in as `user`, or has proven nothing, still could: its secret may be another one by now. */
export function isStillProven({ chap }: TargetAccess, initiatorName: string, user: string | undefined): boolean {
  if (chap === undefined) return true;
  return user !== undefined && chap.secretOf(user, initiatorName) !== undefined;
}
