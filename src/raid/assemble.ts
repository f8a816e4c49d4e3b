/**
 * Finds out which of the drives at hand make up an array, by what their superblocks say and never by their order.
 *
 * A drive of something else in the list is a mistake of configuration and stops assembly. One that merely has nothing
 * to give (blank, unreadable, too small, left behind by the others) is left out, and its slot is missing.
 */

import { OperatingError } from "../base/operating-error.ts";
import type { Drive } from "../platform/drive.ts";
import { formatUuid } from "../platform/random.ts";
import type { World } from "../platform/world.ts";
import { checkDistinct } from "./create.ts";
import type { ArrayEvent } from "./events.ts";
import { type Geometry, geometryOf } from "./geometry.ts";
import { Member } from "./member.ts";
import { ZONE_DATA_BLOCKS, zonesOf } from "./member-layout.ts";
import { type GenerationMemory, heldBlocks } from "./membership.ts";
import { lookForSuperblock } from "./signatures.ts";
import type { MemberEntry, Superblock } from "./superblock.ts";

export interface AssembleOptions {
  readonly name: string;
  readonly group: string;
  /** Nothing is written, not even repairs. */
  readonly readOnly?: boolean;
  /**
   * Assemble level 5 although it was not closed and a member is gone that was active then. Blocks of that member in
   * stripes that were being written may come back wrong: for when there is nothing else left to read them from.
   */
  readonly acceptDirtyDegraded?: boolean;
  /** Memory for checksum blocks; 16 MiB unless told otherwise. */
  readonly checksumCacheBytes?: number;
  /** Blocks of a member that are rebuilt between two checkpoints; 256 MiB unless told otherwise. */
  readonly checkpointBlocks?: number;
  /** Without one, a member that was left behind is taken for the array where it is there alone. */
  readonly memory?: GenerationMemory;
  readonly onEvent?: (event: ArrayEvent) => void;
}

export interface Found {
  readonly geometry: Geometry;
  readonly superblock: Superblock;
  readonly members: Member[];
  /** Slots of members that have the one after, of a change that nobody else has: it never came to its end. */
  readonly ahead: ReadonlySet<number>;
  /** Level 5 only: see `ArrayStatus.recovering`. */
  readonly recovering: boolean;
}

interface Candidate {
  readonly drive: Drive;
  readonly superblock: Superblock;
}

interface LeftOut {
  readonly path: string;
  readonly slot?: number;
  readonly reason: string;
  readonly blank?: boolean;
  /** UUID of the array that it was being added to. */
  readonly joining?: Uint8Array;
}

export async function findMembers(
  world: World,
  drives: readonly Drive[],
  options: AssembleOptions,
  emit: (event: ArrayEvent) => void,
): Promise<Found> {
  checkDistinct(options.name, drives);
  const leftOut: LeftOut[] = [];
  const candidates = await candidatesOf(world, drives, options, leftOut);
  if (candidates.length === 0) throw nothingFound(options, leftOut);
  checkOneArray(options, candidates);
  checkJoining(options, candidates[0].superblock.arrayUuid, leftOut);
  const newest = newestOf(candidates);
  if (newest === undefined) throw nothingFound(options, leftOut);
  const known = options.memory?.known(newest.arrayUuid) ?? 0;
  if (newest.generation < known) throw leftBehind(options, candidates, newest.generation, known);
  const usable = new Map<number, Candidate>();
  const stale = new Map<number, Candidate>();
  for (const candidate of candidates) {
    const { slot } = candidate.superblock;
    const reason = judgeMember(options, candidate, newest);
    if (reason === undefined) usable.set(slot, candidate);
    else {
      stale.set(slot, candidate);
      leftOut.push({ path: candidate.drive.path, slot, reason });
    }
  }
  const active = new Map([...usable].filter(([slot]) => newest.members[slot].state === "active"));
  for (const { path, slot, reason } of leftOut) emit({ kind: "member-left-out", path, slot, reason });
  const geometry = geometryOf(newest.level, newest.members.length, newest.chunkBlocks);
  if (active.size < geometry.members - geometry.tolerates) throw tooFew(options, geometry, active, leftOut);
  const lost = newest.members.flatMap((member, slot) => (heldBlocks(member) && !usable.has(slot) ? [slot] : []));
  const dirty = geometry.parities > 0 && !newest.clean;
  const accepted = options.acceptDirtyDegraded === true || options.readOnly === true;
  if (dirty && !accepted && (lost.length > 0 || newest.unsettled)) throw dirtyDegraded(options, newest, usable);
  const total = newest.zones * ZONE_DATA_BLOCKS;
  const members = newest.members.map(({ uuid, state, rebuilt }, slot) => {
    const drive = usable.get(slot)?.drive ?? stale.get(slot)?.drive;
    const found = usable.has(slot) ? state : stale.has(slot) ? "stale" : "missing";
    return new Member(slot, uuid, drive, found, { rebuilt, total }, world.arithmetic, emit);
  });
  const isAhead = ({ superblock }: Candidate) => superblock.generation > newest.generation;
  const ahead = new Set([...usable].flatMap(([slot, candidate]) => (isAhead(candidate) ? [slot] : [])));
  const recovering = dirty && options.acceptDirtyDegraded !== true;
  return { geometry, superblock: newest, members, ahead, recovering };
}

async function candidatesOf(
  world: World,
  drives: readonly Drive[],
  options: AssembleOptions,
  leftOut: LeftOut[],
): Promise<Candidate[]> {
  const sightings = await Promise.all(
    drives.map(async (drive) => {
      try {
        return { drive, sighting: await lookForSuperblock(drive, world.memory, world.arithmetic) };
      } catch (error) {
        return { drive, reason: `cannot be read (${error instanceof Error ? error.message : error})` };
      }
    }),
  );
  const candidates: Candidate[] = [];
  for (const { drive, sighting, reason } of sightings) {
    const { path } = drive;
    if (sighting === undefined) {
      leftOut.push({ path, reason });
      continue;
    }
    const { superblock } = sighting;
    if (superblock === undefined) {
      const { blank, joining, what } = sighting;
      if (!blank && joining === undefined) throw foreign(options, path, what);
      leftOut.push({ path, reason: blank ? "is blank" : "was not added to its end", blank, joining });
      continue;
    }
    if (superblock.group !== options.group) throw otherGroup(options, path, superblock);
    if (superblock.name !== options.name) throw otherArray(options, path, superblock);
    if (zonesOf(drive.blockCount) < superblock.zones) {
      leftOut.push({ path, slot: superblock.slot, reason: "is smaller than it was" });
      continue;
    }
    candidates.push({ drive, superblock });
  }
  return candidates;
}

/** What was being added was being added to this array. */
function checkJoining(options: AssembleOptions, arrayUuid: Uint8Array, leftOut: readonly LeftOut[]): void {
  for (const { path, joining } of leftOut) {
    if (joining === undefined || formatUuid(joining) === formatUuid(arrayUuid)) continue;
    throw foreign(options, path, `what is left of being added to the array ${formatUuid(joining)}`);
  }
}

/** One UUID, and each member once. */
function checkOneArray(options: AssembleOptions, candidates: readonly Candidate[]): void {
  const members = new Map<string, string>();
  const [first] = candidates;
  const uuid = formatUuid(first.superblock.arrayUuid);
  for (const { drive, superblock } of candidates) {
    if (formatUuid(superblock.arrayUuid) !== uuid) {
      throw new OperatingError(
        "raid.other-array",
        `Drives ${first.drive.path} and ${drive.path} belong to two different arrays named ${options.name}.`,
        "Name the drives of one of them only.",
      );
    }
    const member = formatUuid(ownEntry(superblock).uuid);
    const other = members.get(member);
    if (other !== undefined) {
      throw new OperatingError(
        "raid.duplicate-slot",
        `Drives ${other} and ${drive.path} both are slot ${superblock.slot} of array ${options.name}.`,
        "One is a copy of the other: take the copy out of the list.",
      );
    }
    members.set(member, drive.path);
  }
}

/**
 * The superblock that decides: the newest, and of two of one generation that of the side that knows the other missing.
 * A member that is being rebuilt does not decide. @returns undefined where there is no other
 */
function newestOf(candidates: readonly Candidate[]): Superblock | undefined {
  let newest: Superblock | undefined;
  for (const { superblock } of candidates) {
    if (ownEntry(superblock).state !== "active") continue;
    const age = newest === undefined ? 1 : superblock.generation - newest.generation;
    if (age > 0 || (age === 0 && newest !== undefined && activeOf(superblock) < activeOf(newest))) newest = superblock;
  }
  return newest;
}

function activeOf(superblock: Superblock): number {
  return superblock.members.filter(({ state }) => state === "active").length;
}

/** What a superblock says of the member that it is on. */
function ownEntry(superblock: Superblock): MemberEntry {
  return superblock.members[superblock.slot];
}

/** @returns why the member is not to be trusted, `undefined` where it is. Throws where two sides lived apart. */
function judgeMember(options: AssembleOptions, candidate: Candidate, newest: Superblock): string | undefined {
  const { superblock, drive } = candidate;
  const known = newest.members[superblock.slot];
  const own = ownEntry(superblock);
  const { generation } = superblock;
  if (formatUuid(own.uuid) !== formatUuid(known.uuid)) return "is stale: another drive has taken its place";
  const text = `is stale: it is at generation ${generation}, the others at ${newest.generation}`;
  if (own.state !== "active") {
    // It never went on alone, and its last superblock may have come before those of the others.
    if (known.state === "missing") return text;
    const ahead = generation === newest.generation + 1 && superblock.previous === newest.lineage;
    const behind = generation === newest.generation - 1 && superblock.lineage === newest.previous;
    return superblock.lineage === newest.lineage || behind || ahead ? undefined : text;
  }
  if (known.state === "missing") {
    if (generation >= known.since && wentOnAlone(superblock, newest)) throw split(options, drive, newest);
    return text;
  }
  if (generation === newest.generation) {
    if (superblock.lineage !== newest.lineage) throw split(options, drive, newest);
    return undefined;
  }
  // One behind: the others' last change was cut short before it came here, and nothing relied on it yet.
  if (generation === newest.generation - 1) {
    if (superblock.lineage !== newest.previous) throw split(options, drive, newest);
    return undefined;
  }
  return text;
}

/**
 * Whether a member that the others call missing relied on a generation that they do not have. It did not where that
 * calls all of them active: then its other copies never came to be.
 */
function wentOnAlone(superblock: Superblock, newest: Superblock): boolean {
  return newest.members.some(({ state }, slot) => state === "active" && superblock.members[slot].state !== "active");
}

function nothingFound(options: AssembleOptions, leftOut: readonly LeftOut[]): OperatingError {
  if (leftOut.length > 0 && leftOut.every((one) => one.blank)) {
    return new OperatingError(
      "raid.blank",
      `Drives ${leftOut.map((one) => one.path).join(", ")} are blank: array ${options.name} is not there.`,
      "Create the array, or name the drives that hold it.",
    );
  }
  return new OperatingError(
    "raid.too-few",
    `No drive of array ${options.name} of group ${options.group} is there${reasons(leftOut)}.`,
    "Connect its drives, or correct the list of them.",
  );
}

function leftBehind(
  options: AssembleOptions,
  candidates: readonly Candidate[],
  generation: number,
  known: number,
): OperatingError {
  return new OperatingError(
    "raid.left-behind",
    `Array ${options.name} of group ${options.group} went on without ${candidates.map(({ drive }) => drive.path).join(", ")}, ` +
      `and no other drive of it is there: generation ${generation} is older than ${known}, which the journal knows.`,
    "Connect the drives that it went on with, or resync the array from another site; antipode inspect reads the old content.",
  );
}

function tooFew(
  options: AssembleOptions,
  geometry: Geometry,
  usable: ReadonlyMap<number, Candidate>,
  leftOut: readonly LeftOut[],
): OperatingError {
  const missing = Array.from({ length: geometry.members }, (_, slot) => slot).filter((slot) => !usable.has(slot));
  return new OperatingError(
    "raid.too-few",
    `Array ${options.name} of group ${options.group} needs ${geometry.members - geometry.tolerates} of its ` +
      `${geometry.members} members, slots ${missing.join(", ")} are missing${reasons(leftOut)}.`,
    "Connect the drives that are missing, or resync the array from another site.",
  );
}

function reasons(leftOut: readonly LeftOut[]): string {
  return leftOut.length === 0 ? "" : ` (${leftOut.map((one) => `${one.path} ${one.reason}`).join("; ")})`;
}

function dirtyDegraded(
  options: AssembleOptions,
  newest: Superblock,
  usable: ReadonlyMap<number, Candidate>,
): OperatingError {
  const missing = newest.members.flatMap((_, slot) => (usable.has(slot) ? [] : [slot]));
  return new OperatingError(
    "raid.dirty-degraded",
    `Array ${options.name} of group ${options.group} was not closed, and its slot ${missing.join(", ")} was lost ` +
      "while stripes may have been half written: they cannot be rebuilt.",
    "Bring that drive back, resync the array from another site, or accept what may be torn: antipode serve --accept-dirty-degraded.",
  );
}

function foreign(options: AssembleOptions, path: string, what: string): OperatingError {
  return new OperatingError(
    "raid.foreign",
    `Drive ${path} is no member of array ${options.name}: it holds ${what}.`,
    "Take it out of the array's list of drives.",
  );
}

function otherGroup(options: AssembleOptions, path: string, superblock: Superblock): OperatingError {
  return new OperatingError(
    "raid.other-group",
    `Drive ${path} belongs to array ${superblock.name} of group ${superblock.group}, not of ${options.group}.`,
    "Take it out of the list of drives, or correct the group.",
  );
}

function otherArray(options: AssembleOptions, path: string, superblock: Superblock): OperatingError {
  return new OperatingError(
    "raid.other-array",
    `Drive ${path} belongs to array ${superblock.name} of group ${superblock.group}, not to ${options.name}.`,
    "Take it out of the list of drives, or correct the array's name.",
  );
}

function split(options: AssembleOptions, drive: Drive, newest: Superblock): OperatingError {
  return new OperatingError(
    "raid.split",
    `Drive ${drive.path} and slot ${newest.slot} of array ${options.name} were each written without the other.`,
    "Decide which side is right, and assemble the array with the drives of that side only.",
  );
}
