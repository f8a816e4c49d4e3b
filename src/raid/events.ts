/** What an array tells its owner: its events, its status. Plain values; nothing here acts. */

import type { ByteCount } from "../base/units.ts";
import type { ArrayLevel } from "./geometry.ts";

/** `stale` members were left out of writes that the others hold; `missing` ones have no drive here. */
export type MemberState = "active" | "missing" | "failed" | "stale" | "rebuilding";
export type ArrayState = "optimal" | "degraded" | "failed";

export interface MemberStatus {
  readonly slot: number;
  readonly path?: string;
  readonly state: MemberState;
  /** Requests that failed, and blocks that did not have their checksum, since assembly. */
  readonly errors: { readonly read: number; readonly write: number; readonly checksum: number };
  /** Rows of the array that are complete on a member that is being rebuilt. */
  readonly rebuilt?: { readonly done: number; readonly total: number };
}

/**
 * What a scrub found. `mismatches` counts rows, of which `repaired` are right now and `unrepairable` are not. A member that
 * is lost meanwhile takes nothing from a row that the others know: it is a degraded array then, and its rows are right.
 */
export interface ScrubReport {
  readonly rows: number;
  readonly mismatches: number;
  readonly repaired: number;
  readonly unrepairable: number;
}

export interface ArrayStatus {
  readonly name: string;
  readonly level: ArrayLevel;
  readonly chunkBytes: ByteCount;
  readonly state: ArrayState;
  readonly members: readonly MemberStatus[];
  readonly capacityBlocks: number;
  readonly allocatedBlocks: number;
  /**
   * Level 5 was not closed, and `redone` was not called yet: stripes that were being written then may be torn until
   * the journal has done their writes again. The loss of a member now fails the array, since it cannot be rebuilt.
   */
  readonly recovering: boolean;
  /** A member was lost a moment ago: a power cut before this is over may leave level 5 dirty and degraded. */
  readonly settling: boolean;
}

export type ArrayEvent =
  | { readonly kind: "member-left-out"; readonly slot?: number; readonly path: string; readonly reason: string }
  | { readonly kind: "member-failed"; readonly slot: number; readonly path: string; readonly cause: unknown }
  | { readonly kind: "degraded"; readonly missing: readonly number[] }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "read-error"; readonly slot: number; readonly path: string; readonly index: number }
  | { readonly kind: "checksum-mismatch"; readonly slot: number; readonly path: string; readonly index: number }
  | { readonly kind: "checksums-unreadable"; readonly slot: number; readonly path: string; readonly zone: number }
  | { readonly kind: "block-repaired"; readonly slot: number; readonly path: string; readonly index: number }
  | { readonly kind: "block-unreadable"; readonly volume: string; readonly block: number }
  | { readonly kind: "log-replayed"; readonly blocks: number }
  /** From the start, or from where it was before the array was closed or cut off: rows that are complete. */
  | { readonly kind: "rebuild-started"; readonly slot: number; readonly path: string; readonly row: number }
  /** The member is active. Blocks that could not be rebuilt stay unreadable until they are written. */
  | { readonly kind: "rebuild-finished"; readonly slot: number; readonly path: string; readonly unreadable: number }
  | { readonly kind: "rebuild-failed"; readonly slot: number; readonly path: string; readonly reason: string };
