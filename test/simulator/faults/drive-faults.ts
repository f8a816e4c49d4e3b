/**
 * What happens to drives. A write that is lost, misdirected or forgotten strikes data blocks only: a drive that loses a
 * block together with its checksum leaves nothing that could tell.
 */

import { OperatingError } from "../../../src/base/operating-error.ts";
import { BLOCK_BYTES } from "../../../src/base/units.ts";
import type { SimulatedDrive } from "../../../src/platform/memory/memory-world.ts";
import { dataBlock } from "../../../src/raid/member-layout.ts";
import { runCommand } from "../../../src/site/commands.ts";
import { HOST_BLOCKS } from "../load.ts";
import { anySite, duration, type Fault, type Scene } from "./fault.ts";

interface Struck {
  readonly name: string;
  readonly drive: SimulatedDrive;
}

function weakDrive(scene: Scene): Struck | undefined {
  const name = anySite(scene);
  const drive = scene.budget.weakDrive(name);
  if (!drive?.present) return undefined;
  scene.budget.strike(drive);
  return { name, drive };
}

function journalDrive(scene: Scene): Struck | undefined {
  const name = anySite(scene);
  const drive = scene.system.universe.machine(name).findDrive("/journal");
  return drive?.present ? { name, drive } : undefined;
}

/** Damages what a member holds of some rows that hosts write. */
function damage(
  name: string,
  weight: number,
  act: (scene: Scene, drive: SimulatedDrive, rows: Rows) => string,
  rowsMost = 1,
): Fault {
  return {
    name,
    weight,
    strike: (scene) => {
      const struck = weakDrive(scene);
      if (struck === undefined) return undefined;
      const { random, budget } = scene;
      const first = random.below(HOST_BLOCKS);
      const count = 1 + random.below(rowsMost);
      const other = random.below(HOST_BLOCKS);
      const rows = [...Array.from({ length: count }, (_, at) => first + at), other];
      if (!rows.every((index) => budget.damageRow(struck.name, index))) return undefined;
      const what = act(scene, struck.drive, { lba: dataBlock(first), count, to: dataBlock(other) });
      return `${struck.name}:${struck.drive.path} ${what}`;
    },
  };
}

/** Blocks of a member: `count` from `lba` on, and one more for what gets lost there. */
interface Rows {
  readonly lba: number;
  readonly count: number;
  readonly to: number;
}

/** Puts a drive that vanished back, unless another was put in its place. */
function comeBack({ system }: Scene, drive: SimulatedDrive): void {
  if (system.universe.machine(drive.machine).findDrive(drive.path) === drive) drive.reappear();
}

/** The weak member of a site drops out of its array for good. */
function loss(name: string, weight: number, act: (scene: Scene, drive: SimulatedDrive) => void): Fault {
  return {
    name,
    weight,
    strike: (scene) => {
      const struck = weakDrive(scene);
      if (struck === undefined || !scene.budget.mayLoseMember(struck.name)) return undefined;
      scene.budget.loseMember(struck.name, "once noticed");
      act(scene, struck.drive);
      return `${struck.name}:${struck.drive.path}`;
    },
  };
}

/** A request of a kind that the journal's drive fails, once. */
function journalFailure(on: "read" | "write" | "flush"): Fault {
  return {
    name: `a journal's ${on} fails`,
    weight: 0.7,
    strike: (scene) => {
      const struck = journalDrive(scene);
      if (struck === undefined || !scene.budget.mayEnd(struck.name)) return undefined;
      const fault = struck.drive.inject({ on, action: "fail", times: 1 });
      scene.budget.condemn(struck.name);
      scene.lasting(5000, () => fault.remove());
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
  loss("a member vanishes", 0.5, (_, drive) => drive.vanish()),
  loss("a member vanishes and comes back old", 0.5, (scene, drive) => {
    drive.vanish();
    scene.lasting(duration(scene.random, 8000), () => comeBack(scene, drive));
  }),
  loss("a member fails a write", 0.5, (scene, drive) => {
    const fault = drive.inject({ on: "write", action: "fail", times: 1 });
    scene.lasting(60_000, () => fault.remove());
  }),
  loss("a member fails a flush", 0.5, (scene, drive) => {
    const fault = drive.inject({ on: "flush", action: "fail", times: 1 });
    scene.lasting(60_000, () => fault.remove());
  }),
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
      const site = scene.system.sites.get(name);
      if (site === undefined || site.storage.arrays.size === 0) return undefined;
      command(scene, name, ["array", "scrub", "main"]);
      return name;
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
  damage("a bit flips on a member", 2, (_, drive, { lba }) => {
    drive.flipBit(lba);
    return `block ${lba}`;
  }),
  damage(
    "blocks of a member can't be read",
    2,
    (_, drive, { lba, count }) => {
      drive.latentError(lba, count);
      return `blocks ${lba} to ${lba + count}`;
    },
    8,
  ),
  damage("a member loses a write", 1, (scene, drive, { lba }) => {
    const fault = drive.inject({ on: "write", action: "lose", lba, blocks: 1, times: 1 });
    scene.lasting(5000, () => fault.remove());
    return `of block ${lba}`;
  }),
  damage("a member misdirects a write", 1, (scene, drive, { lba, to }) => {
    const fault = drive.inject({ on: "write", action: "misdirect", lba, blocks: 1, times: 1, to });
    scene.lasting(5000, () => fault.remove());
    return `of block ${lba} to ${to}`;
  }),
  damage("a member forgets a write", 1, (scene, drive, { lba }) => {
    const fault = drive.inject({ on: "write", action: "forget", lba, blocks: 1, times: 1 });
    scene.lasting(5000, () => fault.remove());
    return `of block ${lba}`;
  }),
  damage("a member misdirects a read", 1, (scene, drive, { lba, to }) => {
    const fault = drive.inject({ on: "read", action: "misdirect", lba, blocks: 1, times: 1, to });
    scene.lasting(5000, () => fault.remove());
    return `of block ${lba} to ${to}`;
  }),
  damage("a member returns what was there before", 1, (scene, drive, { lba }) => {
    const fault = drive.inject({ on: "read", action: "stale", lba, blocks: 1, times: 1 });
    scene.lasting(5000, () => fault.remove());
    return `block ${lba}`;
  }),
  damage("a member garbles a read", 1, (scene, drive, { lba }) => {
    const fault = drive.inject({ on: "read", action: "corrupt", lba, blocks: 1, times: 1 });
    scene.lasting(5000, () => fault.remove());
    return `of block ${lba}`;
  }),
  damage("a member stalls", 1, (scene, drive) => {
    const length = duration(scene.random, 8000);
    const stall = drive.stall();
    scene.lasting(length, () => stall.remove());
    return `for ${length} ms`;
  }),
  damage("a member is slow", 1, (scene, drive) => {
    const length = duration(scene.random, 8000);
    drive.slow(scene.random.pick([10, 100]));
    scene.lasting(length, () => drive.slow(1));
    return `for ${length} ms`;
  }),
  ...MEMBER_LOSSES,
];

function failBattery({ system, budget, lasting }: Scene, name: string, length: number): void {
  const { battery } = system.universe.machine(name);
  battery.fail();
  lasting(length, () => {
    battery.recover();
    budget.batteryRecovered(name);
  });
}

function flapBattery(scene: Scene, name: string, length: number): void {
  const { system, random } = scene;
  const { battery } = system.universe.machine(name);
  let isOver = false;
  const flap = () => {
    if (isOver) return;
    if (battery.holds) battery.fail();
    else battery.recover();
    system.universe.after(random.below(300), flap);
  };
  failBattery(scene, name, length);
  flap();
  scene.lasting(length, () => {
    isOver = true;
    battery.recover();
  });
}

export const JOURNAL_FAULTS: readonly Fault[] = [
  journalFailure("read"),
  journalFailure("write"),
  journalFailure("flush"),
  {
    name: "a journal stalls",
    weight: 2,
    strike: (scene) => {
      const struck = journalDrive(scene);
      if (struck === undefined) return undefined;
      const length = duration(scene.random, 8000);
      const stall = struck.drive.stall();
      scene.lasting(length, () => stall.remove());
      return `${struck.name} for ${length} ms`;
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
      return `${struck.name} for ${length} ms`;
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
      return `${struck.name} for ${length} ms`;
    },
  },
  {
    name: "a battery fails",
    weight: 1,
    strike: (scene) => {
      const name = anySite(scene);
      if (!scene.budget.failBattery(name)) return undefined;
      const length = duration(scene.random, 8000);
      failBattery(scene, name, length);
      return `${name} for ${length} ms`;
    },
  },
  {
    name: "a battery flaps",
    weight: 1,
    strike: (scene) => {
      const name = anySite(scene);
      if (!scene.budget.failBattery(name)) return undefined;
      const length = duration(scene.random, 4000);
      flapBattery(scene, name, length);
      return `${name} for ${length} ms`;
    },
  },
];

function journalDamage(name: string, act: (scene: Scene, drive: SimulatedDrive, lba: number) => string): Fault {
  return {
    name,
    weight: 0.7,
    strike: (scene) => {
      const struck = journalDrive(scene);
      if (struck === undefined || !scene.budget.strikeJournal(struck.name)) return undefined;
      // Most of what a short run writes is near the start.
      const lba = scene.random.below(scene.random.chance(0.7) ? 512 : struck.drive.blockCount - 8);
      return `${struck.name} ${act(scene, struck.drive, lba)}`;
    },
  };
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
  journalDamage("a journal loses a write", (scene, drive) => {
    const fault = drive.inject({ on: "write", action: "lose", times: 1 });
    scene.lasting(5000, () => fault.remove());
    return "";
  }),
  journalDamage("a journal misdirects a write", (scene, drive, lba) => {
    const fault = drive.inject({ on: "write", action: "misdirect", times: 1, to: lba });
    scene.lasting(5000, () => fault.remove());
    return `to block ${lba}`;
  }),
  journalDamage("a journal forgets writes", (scene, drive) => {
    const fault = drive.inject({ on: "write", action: "forget", times: 1 + scene.random.below(20) });
    scene.lasting(5000, () => fault.remove());
    return "";
  }),
  journalDamage("a journal's flushes lie", (scene, drive) => {
    const fault = drive.inject({ on: "flush", action: "lose" });
    scene.lasting(8000, () => fault.remove());
    return "";
  }),
];
