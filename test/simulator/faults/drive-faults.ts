/**
 * What happens to drives. A write that is lost, misdirected or forgotten strikes data blocks only: a drive that loses a
 * block together with its checksum leaves nothing that could tell.
 *
 * What awaits a request strikes one, that lies within the rows claimed for it. Most reads of hosts are answered by the
 * read cache; so where a read is to go wrong, the array is scrubbed as well.
 */

import { OperatingError } from "../../../src/base/operating-error.ts";
import { BLOCK_BYTES } from "../../../src/base/units.ts";
import type { Fault as DriveFault, FaultOptions, SimulatedDrive } from "../../../src/platform/memory/memory-world.ts";
import { dataBlock } from "../../../src/raid/member-layout.ts";
import { runCommand } from "../../../src/site/commands.ts";
import { BATTERY_FAULTS } from "./battery-faults.ts";
import type { Claim } from "./budget.ts";
import { anySite, duration, type Fault, type Scene } from "./fault.ts";

export interface Struck {
  readonly name: string;
  readonly drive: SimulatedDrive;
}

export function weakDrive(scene: Scene): Struck | undefined {
  const name = anySite(scene);
  const drive = scene.budget.weakDrive(name);
  return drive?.present ? { name, drive } : undefined;
}

function journalDrive(scene: Scene): Struck | undefined {
  const name = anySite(scene);
  const drive = scene.system.universe.machine(name).findDrive("/journal");
  return drive?.present ? { name, drive } : undefined;
}

/** Something that a member does to rows that hosts use, as many as it wants and the budget gives. */
function onRows(
  fault: Omit<Fault, "strike">,
  wanted: (scene: Scene) => number,
  act: (scene: Scene, struck: Struck, claim: Claim) => void,
): Fault {
  return {
    ...fault,
    strike: (scene) => {
      const struck = weakDrive(scene);
      const claim = struck && scene.budget.claimRows(struck.name, wanted(scene), scene.rows);
      if (struck === undefined || claim === undefined) return undefined;
      act(scene, struck, claim);
      return `${show(struck)} ${showRows(claim)}`;
    },
  };
}

/** Damages what a member holds of some rows that hosts use, `most` at the most. */
function damage(
  name: string,
  weight: number,
  most: number,
  act: (drive: SimulatedDrive, lba: number, blocks: number) => void,
): Fault {
  return onRows(
    { name, weight },
    ({ random }) => 1 + random.below(most),
    ({ budget }, { drive }, { first, count }) => {
      budget.strike(drive);
      act(drive, dataBlock(first), count);
    },
  );
}

/** One write of rows that hosts use, by a member that does something else than it was told. */
function writeGoesWrong(name: string, action: "lose" | "misdirect" | "forget"): Fault {
  return onRows(
    { name, weight: 1.5, awaitsRequest: true },
    ({ random }) => 8 + random.below(41),
    (scene, { drive }, claim) => {
      const lba = dataBlock(claim.first);
      const fault: DriveFault = scene.inject(
        drive,
        {
          on: "write",
          lba,
          blocks: claim.count,
          within: true,
          times: 1,
          ...(action === "misdirect" ? { action, to: lba } : { action }),
        },
        AWAITED,
        () => claim.settle(rowsHit(fault)),
      );
      scene.budget.strike(drive, fault);
    },
  );
}

/** One read of rows that hosts use, by a member that returns something else than what it holds. */
function readGoesWrong(name: string, action: "misdirect" | "stale" | "corrupt"): Fault {
  return onRows(
    { name, weight: 1.5, awaitsRequest: true },
    ({ rows }) => rows,
    (scene, struck, claim) => {
      let isOver = false;
      // Nothing on the drive is damaged by it.
      scene.inject(
        struck.drive,
        { on: "read", action, lba: dataBlock(claim.first), blocks: claim.count, within: true, times: 1 },
        AWAITED,
        () => {
          isOver = true;
          claim.settle([]);
        },
      );
      for (const share of [0.5, 1]) {
        scene.system.universe.after(share * scene.random.below(AWAITED), () => isOver || scrub(scene, struck.name));
      }
    },
  );
}

/** Virtual milliseconds that a fault awaits its request. */
const AWAITED = 12_000;

export function show({ name, drive }: Struck): string {
  return `${name}:${drive.path}`;
}

export function showRows({ first, count }: Claim): string {
  return count === 1 ? `row ${first}` : `rows ${first} to ${first + count - 1}`;
}

/** The rows that a write has damaged which met a fault: those that it was for, and those where it went. */
function* rowsHit({ hits }: DriveFault): Iterable<number> {
  for (const { lba, blocks, place } of hits) {
    for (let at = 0; at < blocks; at++) {
      yield lba + at - dataBlock(0);
      yield place + at - dataBlock(0);
    }
  }
}

/** Puts a drive that vanished back, unless another was put in its place. */
function comeBack({ system }: Scene, drive: SimulatedDrive): void {
  if (system.universe.machine(drive.machine).findDrive(drive.path) === drive) drive.reappear();
}

/** The weak member of a site drops out of its array for good. */
function loss(
  name: string,
  act: (scene: Scene, drive: SimulatedDrive) => void,
  more: Pick<Fault, "awaitsRequest"> = {},
): Fault {
  return {
    name,
    weight: 0.5,
    ...more,
    strike: (scene) => {
      const struck = weakDrive(scene);
      if (struck === undefined || !scene.budget.mayLoseMember(struck.name)) return undefined;
      scene.budget.loseMember(struck.name, "once noticed");
      act(scene, struck.drive);
      return `${struck.name}:${struck.drive.path}`;
    },
  };
}

/** The weak member of a site fails a request, and is fenced for it. */
function lossAtRequest(name: string, on: "write" | "flush"): Fault {
  const act = (scene: Scene, drive: SimulatedDrive) => scene.inject(drive, { on, action: "fail", times: 1 }, 60_000);
  return loss(name, act, { awaitsRequest: true });
}

/** A request of a kind that the journal's drive fails, once. */
function journalFailure(on: "read" | "write"): Fault {
  return {
    name: `a journal's ${on} fails`,
    weight: 0.7,
    awaitsRequest: true,
    strike: (scene) => {
      const struck = journalDrive(scene);
      if (struck === undefined || !scene.budget.mayEnd(struck.name)) return undefined;
      scene.inject(struck.drive, { on, action: "fail", times: 1 }, 5000);
      scene.budget.condemn(struck.name);
      return struck.name;
    },
  };
}

const WRONG_DRIVES = ["blank", "smaller", "foreign", "a copy of another site's"] as const;

/**
 * Puts another drive in the place of the right one while the site is down, and that one back later, unless yet another
 * is there by then.
 */
function exchange(scene: Scene, name: string, right: SimulatedDrive, kind: (typeof WRONG_DRIVES)[number]): boolean {
  const { system, random, operator } = scene;
  const machine = system.universe.machine(name);
  const { path } = right;
  if (!operator.end(name, "crash", 500)) return false;
  machine.removeDrive(path);
  const bytes = right.blockCount * BLOCK_BYTES;
  const wrong = machine.addDrive(path, kind === "smaller" ? bytes / 2 : bytes);
  if (kind === "foreign") wrong.overwrite(0, new Uint8Array(BLOCK_BYTES).fill(0xa5));
  const other = system.universe.machine(random.pick(system.names)).findDrive(path);
  if (kind === "a copy of another site's" && other !== undefined && other !== wrong) wrong.restore(other.snapshot());
  scene.lasting(duration(random, 8000), () => {
    if (machine.findDrive(path) !== wrong) return;
    operator.end(name, "kill", 500);
    machine.removeDrive(path);
    machine.insertDrive(path, right);
  });
  return true;
}

/** Has an operator type a command at a site. What the site refuses the operator lives with. */
function command(scene: Scene, name: string, words: readonly string[]): void {
  const site = scene.system.site(name);
  runCommand(site, words, () => {}).catch((error: unknown) => {
    if (!(error instanceof OperatingError)) scene.operator.onBug(name, error);
  });
}

/** @returns whether the site is up and has an array */
function scrub(scene: Scene, name: string): boolean {
  const isThere = (scene.system.sites.get(name)?.storage.arrays.size ?? 0) > 0;
  if (isThere) command(scene, name, ["array", "scrub", "main"]);
  return isThere;
}

/** Puts a blank drive where the lost one was, and has the array rebuilt on it. */
function exchangeLost(scene: Scene, name: string): string | undefined {
  const { system, budget } = scene;
  const path = budget.pathToReplace(name);
  const members = system.sites.get(name)?.storage.arrays.get("main")?.status.members ?? [];
  // Where drives were swapped meanwhile, a good one is there.
  if (members.some((member) => member.path === path && member.state === "active")) return undefined;
  const machine = system.universe.machine(name);
  const lost = path === undefined ? undefined : machine.findDrive(path);
  if (path === undefined || lost === undefined) return undefined;
  const drive = machine.replaceDrive(path, lost.blockCount * BLOCK_BYTES);
  if (scene.random.chance(0.5)) {
    // So that more is written while it is being rebuilt.
    drive.slow(scene.random.pick([10, 100]));
    scene.lasting(duration(scene.random, 8000), () => drive.slow(1));
  }
  const look = () => {
    const array = system.sites.get(name)?.storage.arrays.get("main");
    if (array?.status.state === "optimal") budget.replaced(name, drive);
    else if (machine.findDrive(path) === drive) system.universe.after(100, look);
    if (array?.status.state === "degraded" && array.status.members.every(({ state }) => state !== "rebuilding"))
      command(scene, name, ["array", "add", "main", path]);
  };
  look();
  return `${name}:${path}`;
}

/** Members that drop out of their array, or stand in the wrong place. */
export const MEMBER_LOSSES: readonly Fault[] = [
  loss("a member vanishes", (_, drive) => drive.vanish()),
  loss("a member vanishes and comes back old", (scene, drive) => {
    drive.vanish();
    scene.lasting(duration(scene.random, 8000), () => comeBack(scene, drive));
  }),
  lossAtRequest("a member fails a write", "write"),
  lossAtRequest("a member fails a flush", "flush"),
  {
    name: "a lost drive is exchanged for a new one",
    weight: 4,
    strike: (scene) => {
      const name = scene.system.names.find((each) => scene.budget.pathToReplace(each) !== undefined);
      return name === undefined ? undefined : exchangeLost(scene, name);
    },
  },
  {
    name: "an array is scrubbed",
    weight: 1,
    strike: (scene) => {
      const name = anySite(scene);
      return scrub(scene, name) ? name : undefined;
    },
  },
  {
    name: "two drives are swapped",
    weight: 1,
    strike: (scene) => {
      const { system, random, operator, budget } = scene;
      const name = anySite(scene);
      const machine = system.universe.machine(name);
      const paths = system.drivesOf(name);
      if (paths.length < 2 || !budget.mayEnd(name)) return undefined;
      const [a, b] = [random.pick(paths), random.pick(paths)];
      if (a === b || machine.findDrive(a) === undefined || machine.findDrive(b) === undefined) return undefined;
      if (!operator.end(name, "crash", 1000 + random.below(1000))) return undefined;
      const [first, second] = [machine.removeDrive(a), machine.removeDrive(b)];
      machine.insertDrive(a, second);
      machine.insertDrive(b, first);
      return `${name}: ${a} and ${b}`;
    },
  },
  {
    name: "a wrong drive is put in for a while",
    weight: 1,
    strike: (scene) => {
      const { budget, random } = scene;
      const name = anySite(scene);
      const isJournal = random.chance(0.4);
      if (!budget.mayEnd(name) || !(isJournal || budget.mayLoseMember(name))) return undefined;
      const right = isJournal ? scene.system.universe.machine(name).findDrive("/journal") : budget.weakDrive(name);
      if (!right?.present) return undefined;
      // The array may go on without it, and then never takes it back.
      if (!isJournal) budget.loseMember(name, "now");
      const kind = random.pick(WRONG_DRIVES);
      if (!exchange(scene, name, right, kind)) return undefined;
      return `${name}: ${kind} at ${right.path}`;
    },
  },
];

export const ARRAY_FAULTS: readonly Fault[] = [
  damage("a bit flips on a member", 2, 1, (drive, lba) => drive.flipBit(lba)),
  damage("blocks of a member can't be read", 2, 8, (drive, lba, blocks) => drive.latentError(lba, blocks)),
  writeGoesWrong("a member loses a write", "lose"),
  writeGoesWrong("a member misdirects a write", "misdirect"),
  writeGoesWrong("a member forgets a write", "forget"),
  readGoesWrong("a member misdirects a read", "misdirect"),
  readGoesWrong("a member returns what was there before", "stale"),
  readGoesWrong("a member garbles a read", "corrupt"),
  {
    name: "a member stalls",
    weight: 1,
    strike: (scene) => {
      const found = weakDrive(scene);
      if (found === undefined) return undefined;
      const stall = found.drive.stall();
      scene.lasting(duration(scene.random, 8000), () => stall.remove());
      return show(found);
    },
  },
  {
    name: "a member is slow",
    weight: 1,
    strike: (scene) => {
      const found = weakDrive(scene);
      if (found === undefined) return undefined;
      found.drive.slow(scene.random.pick([10, 100]));
      scene.lasting(duration(scene.random, 8000), () => found.drive.slow(1));
      return show(found);
    },
  },
  ...MEMBER_LOSSES,
];

export const JOURNAL_FAULTS: readonly Fault[] = [
  journalFailure("read"),
  journalFailure("write"),
  {
    name: "a journal stalls",
    weight: 2,
    strike: (scene) => {
      const struck = journalDrive(scene);
      if (struck === undefined) return undefined;
      const length = duration(scene.random, 8000);
      const stall = struck.drive.stall();
      scene.lasting(length, () => stall.remove());
      return struck.name;
    },
  },
  {
    name: "a journal is slow",
    weight: 1,
    strike: (scene) => {
      const struck = journalDrive(scene);
      if (struck === undefined) return undefined;
      const length = duration(scene.random, 8000);
      struck.drive.slow(scene.random.pick([10, 100]));
      scene.lasting(length, () => struck.drive.slow(1));
      return struck.name;
    },
  },
  {
    name: "a journal vanishes for a while",
    weight: 0.7,
    strike: (scene) => {
      const struck = journalDrive(scene);
      if (struck === undefined || !scene.budget.mayEnd(struck.name)) return undefined;
      struck.drive.vanish();
      scene.budget.condemn(struck.name);
      const length = duration(scene.random, 8000);
      scene.lasting(length, () => comeBack(scene, struck.drive));
      return struck.name;
    },
  },
  ...BATTERY_FAULTS,
];

function journalDamage(
  name: string,
  act: (scene: Scene, drive: SimulatedDrive, lba: number) => string,
  more: Pick<Fault, "awaitsRequest"> = {},
): Fault {
  return {
    name,
    weight: 0.7,
    ...more,
    strike: (scene) => {
      const struck = journalDrive(scene);
      if (struck === undefined || !scene.budget.strikeJournal(struck.name)) return undefined;
      // Most of what a short run writes is near the start.
      const lba = scene.random.below(scene.random.chance(0.7) ? 512 : struck.drive.blockCount - 8);
      return `${struck.name} ${act(scene, struck.drive, lba)}`;
    },
  };
}

function journalDamageAtRequest(name: string, options: FaultOptions): Fault {
  const act = (scene: Scene, drive: SimulatedDrive, lba: number) => {
    if (options.on === "write" && options.action === "misdirect") {
      scene.inject(drive, { ...options, to: lba }, AWAITED);
      return `to block ${lba}`;
    }
    scene.inject(drive, options, AWAITED);
    return "";
  };
  return journalDamage(name, act, { awaitsRequest: true });
}

/** What a journal must survive without a wrong answer, although its site may not. */
export const JOURNAL_DAMAGE: readonly Fault[] = [
  journalDamage("a bit flips in a journal", (_, drive, lba) => {
    drive.flipBit(lba);
    return `block ${lba}`;
  }),
  journalDamage("blocks of a journal can't be read", ({ random }, drive, lba) => {
    const blocks = 1 + random.below(8);
    drive.latentError(lba, blocks);
    return `blocks ${lba} to ${lba + blocks}`;
  }),
  journalDamageAtRequest("a journal loses a write", { on: "write", action: "lose", times: 1 }),
  journalDamageAtRequest("a journal forgets writes", { on: "write", action: "forget", times: 20 }),
  journalDamageAtRequest("a journal misdirects a write", { on: "write", action: "misdirect", times: 1 }),
];
