/**
 * The command table: each command of the console's grammar once, for the shell, the console and machines alike.
 * A command gives data; how it looks to people is in render.ts.
 */

import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import type { MirrorController } from "../mirror/mirror-controller.ts";
import { repairVolume, type VolumeRepair } from "../mirror/repair.ts";
import { Survey } from "../mirror/survey.ts";
import { type VerifiedVolume, type VolumeVerdict, verifyVolume } from "../mirror/verify.ts";
import { reservationsOf } from "./host-reservations.ts";
import {
  renderArrays,
  renderHelp,
  renderJournal,
  renderMirror,
  renderRepair,
  renderReservations,
  renderScrub,
  renderSessions,
  renderStatus,
  renderTarget,
  renderVerify,
} from "./render.ts";
import type { Site } from "./site.ts";
import { snapshot } from "./snapshot.ts";

export interface CommandResult {
  /** The data, for machines. */
  readonly value: unknown;
  /** The same for people; lines end with a newline. */
  readonly text: string;
  /** 0, or what a shell should exit with although the command ran: a difference was found. */
  readonly exitCode: number;
}

/** How far a long command is. */
export interface Progress {
  readonly what: string;
  readonly done: number;
  readonly total: number;
}

export interface Command {
  readonly words: readonly string[];
  /** Words after the command's own, as shown in its help; empty where it takes none. */
  readonly parameters: string;
  readonly summary: string;
  run(site: Site, parameters: readonly string[], onProgress: (progress: Progress) => void): Promise<CommandResult>;
}

/** Exit code of a verify that found sites to differ or could not read one, and of a repair that left something as it was. */
export const EXIT_DIFFERENT = 4;

function show(
  words: readonly string[],
  summary: string,
  of: (site: Site) => { value: unknown; text: string },
): Command {
  return {
    words: ["show", ...words],
    parameters: "",
    summary,
    run: async (site) => ({ ...of(site), exitCode: 0 }),
  };
}

/** The console shows what would end before it asks for it. */
export const CLEAR_RESERVATION: Command = {
  words: ["clear", "reservation"],
  parameters: "VOLUME [yes]",
  summary: "end what hosts have registered and reserved at a volume's LUN",
  run: clearReservation,
};

/** The same. */
export const CLEAR_REGISTRATION: Command = {
  words: ["clear", "registration"],
  parameters: "VOLUME INITIATOR [yes]",
  summary: "end what one host has registered and reserved at a volume's LUN",
  run: clearRegistration,
};

export const COMMANDS: readonly Command[] = [
  show(["status"], "the site's state at a glance, and what is wrong", (site) => {
    const status = snapshot(site);
    return { value: status, text: renderStatus(status) };
  }),
  show(["journal"], "the journal: its watermarks, how full it is", (site) => {
    const { journal } = snapshot(site);
    return { value: journal, text: renderJournal(journal) };
  }),
  show(["mirror"], "the legs, or the next hop, and who feeds this site", (site) => {
    const status = snapshot(site);
    const { forwards, upstreams, hostWrites } = status;
    return { value: { forwards, upstreams, hostWrites }, text: renderMirror(status) };
  }),
  show(["array"], "the disk arrays and their drives", (site) => {
    const { arrays } = snapshot(site);
    return { value: arrays, text: renderArrays(arrays) };
  }),
  show(["sessions"], "the initiators that are logged in", (site) => {
    const { target } = snapshot(site);
    return { value: target, text: renderSessions(target) };
  }),
  show(["target"], "how many commands hosts have sent to each LUN, and how long they took", (site) => {
    const { target } = snapshot(site);
    return { value: target, text: renderTarget(target) };
  }),
  show(["reservations"], "which initiators are registered at a LUN, and who has reserved it", ({ feed }) => {
    const reservations = feed.kind === "hosts" ? feed.port.reservations : undefined;
    return { value: reservations, text: renderReservations(reservations) };
  }),
  CLEAR_RESERVATION,
  CLEAR_REGISTRATION,
  {
    words: ["reload"],
    parameters: "[FILE]",
    summary: "take over who may use which volume from the configuration, which is the same otherwise",
    run: reload,
  },
  {
    words: ["verify"],
    parameters: "[VOLUME]",
    summary: "compare every site's copy of every volume, or of one, block by block",
    run: verify,
  },
  {
    words: ["repair"],
    parameters: "[VOLUME]",
    summary: "write again what a site can't read of every volume, or of one, from a site that can",
    run: repair,
  },
  {
    words: ["array", "add"],
    parameters: "ARRAY DRIVE [overwrite]",
    summary: "rebuild an array's missing member on the drive that is now at that path",
    run: addDrive,
  },
  {
    words: ["array", "scrub"],
    parameters: "ARRAY",
    summary: "read all of an array, and repair what is provably wrong",
    run: scrub,
  },
  {
    words: ["help"],
    parameters: "",
    summary: "the commands",
    run: async () => ({
      value: COMMANDS.map(({ words, parameters, summary }) => ({ command: words.join(" "), parameters, summary })),
      text: renderHelp(COMMANDS),
      exitCode: 0,
    }),
  },
];

/** Runs the command that the words name. Rejects with `command.unknown` or the command's own errors. */
export function runCommand(
  site: Site,
  words: readonly string[],
  onProgress: (progress: Progress) => void,
): Promise<CommandResult> {
  const command = COMMANDS.find((each) => each.words.every((word, at) => words[at] === word));
  const parameters = words.slice(command?.words.length);
  if (command === undefined || (parameters.length > 0 && command.parameters === "")) {
    const given = words.length === 0 ? "No command was given." : `There is no command '${words.join(" ")}'.`;
    const known = COMMANDS.map((each) => each.words.join(" ")).join(", ");
    return Promise.reject(new OperatingError("command.unknown", given, `Commands are: ${known}.`));
  }
  return command.run(site, parameters, onProgress);
}

function clearReservation(site: Site, parameters: readonly string[]): Promise<CommandResult> {
  const [name, word, ...more] = parameters;
  if (name === undefined || more.length > 0 || (word ?? "yes") !== "yes") {
    throw new OperatingError("command.parameters", "clear reservation takes VOLUME [yes].", "Give just these.");
  }
  return endReservations(site, name, undefined, word !== undefined);
}

function clearRegistration(site: Site, parameters: readonly string[]): Promise<CommandResult> {
  const [name, initiator, word, ...more] = parameters;
  if (name === undefined || initiator === undefined || more.length > 0 || (word ?? "yes") !== "yes") {
    throw new OperatingError(
      "command.parameters",
      "clear registration takes VOLUME INITIATOR [yes].",
      "Give just these; show reservations has the names of initiators, each before ',i,'.",
    );
  }
  return endReservations(site, name, initiator, word !== undefined);
}

/** @param initiator whose; everybody's unless given */
async function endReservations(
  site: Site,
  name: string,
  initiator: string | undefined,
  isConfirmed: boolean,
): Promise<CommandResult> {
  const { feed } = site;
  if (feed.kind !== "hosts") throw notPrimary(site, "it", "hosts are served, and reserve, there alone");
  const whole = feed.port.reservations.find(({ volume }) => volume === name);
  if (whole === undefined) throw noVolume(site, name);
  const before = reservationsOf(whole, initiator);
  if (before.initiators.length === 0) {
    const whose = initiator === undefined ? "" : ` by ${initiator}`;
    return { value: before, text: `Nothing is registered or reserved at ${name}${whose}.\n`, exitCode: 0 };
  }
  if (!isConfirmed) {
    throw new OperatingError(
      "command.unconfirmed",
      `${before.initiators.length} registrations at ${name} would end, and whom they keep from it could write to it.`,
      "Look at them with show reservations, and give yes at the end.",
    );
  }
  await feed.port.clearReservations(before.lun, initiator);
  return { value: before, text: `What was there is ended:\n${renderReservations([before])}`, exitCode: 0 };
}

async function reload(site: Site, [given, ...more]: readonly string[]): Promise<CommandResult> {
  if (more.length > 0) throw new OperatingError("command.parameters", "reload takes [FILE].", "Give just that.");
  assert(site.readConfig !== undefined, "a site that is asked has what reads its configuration");
  const file = given ?? site.config.file;
  const changed = site.changeHosts(site.readConfig(file));
  const text = changed ? `Who may use which volume is as ${file} has it.\n` : "Nothing changes for hosts.\n";
  return { value: { file, changed }, text, exitCode: 0 };
}

function notPrimary({ config }: Site, command: string, why: string): OperatingError {
  return new OperatingError(
    "mirror.not-primary",
    `Site ${config.site.name} is fed by the site link; ${why}.`,
    `Run ${command} at the primary.`,
  );
}

function noVolume({ config }: Site, name: string): OperatingError {
  const known = Object.keys(config.volumes).join(", ");
  return new OperatingError("mirror.no-volume", `There is no volume '${name}'.`, `Volumes are: ${known}.`);
}

async function addDrive(site: Site, parameters: readonly string[]): Promise<CommandResult> {
  const [array, path, overwrite, ...more] = parameters;
  if (array === undefined || path === undefined || more.length > 0 || (overwrite ?? "overwrite") !== "overwrite") {
    throw new OperatingError("command.parameters", "array add takes ARRAY DRIVE [overwrite].", "Give just these.");
  }
  await site.storage.addDrive(array, path, overwrite !== undefined);
  const text = `Array ${array} is rebuilding its missing member on ${path}; show array tells how far it is.\n`;
  return { value: { array, path }, text, exitCode: 0 };
}

async function scrub(site: Site, parameters: readonly string[]): Promise<CommandResult> {
  const array = site.storage.arrays.get(parameters[0] ?? "");
  if (array === undefined || parameters.length !== 1) {
    const known = [...site.storage.arrays.keys()].join(", ") || "none";
    throw new OperatingError("command.parameters", "array scrub takes the name of an array.", `Arrays are: ${known}.`);
  }
  const report = await array.scrub();
  const exitCode = report.unrepairable === 0 ? 0 : EXIT_DIFFERENT;
  return { value: report, text: renderScrub(parameters[0], report), exitCode };
}

async function verify(
  site: Site,
  parameters: readonly string[],
  onProgress: (progress: Progress) => void,
): Promise<CommandResult> {
  const verdicts: VolumeVerdict[] = [];
  await eachVolume("verify", site, parameters, async (survey, _, volume) => {
    const progress = (done: number) => onProgress({ what: volume.name, done, total: volume.blocks });
    verdicts.push(await verifyVolume(survey, volume, progress));
  });
  const sound = verdicts.every(({ sites }) =>
    sites.every(({ verdict }) => verdict === "identical" || verdict === "diskless"),
  );
  return { value: verdicts, text: renderVerify(verdicts), exitCode: sound ? 0 : EXIT_DIFFERENT };
}

async function repair(
  site: Site,
  parameters: readonly string[],
  onProgress: (progress: Progress) => void,
): Promise<CommandResult> {
  const repairs: VolumeRepair[] = [];
  await eachVolume("repair", site, parameters, async (survey, controller, volume) => {
    const progress = (done: number) => onProgress({ what: volume.name, done, total: volume.blocks });
    repairs.push(await repairVolume(survey, controller, volume, progress));
  });
  const whole = repairs.every(({ lost, different, unknown }) => lost.blocks + different.blocks + unknown.length === 0);
  return { value: repairs, text: renderRepair(repairs), exitCode: whole ? 0 : EXIT_DIFFERENT };
}

/** For what asks every site: at the primary, for each volume or for those named. Rejects with `mirror.not-…` elsewhere. */
async function eachVolume(
  command: "verify" | "repair",
  site: Site,
  names: readonly string[],
  body: (survey: Survey, controller: MirrorController, volume: VerifiedVolume) => Promise<void>,
): Promise<void> {
  const { feed, config, world } = site;
  if (feed.kind !== "hosts") throw notPrimary(site, command, "only the primary can ask every site");
  const volumes = Object.values(config.volumes).filter(({ name }) => names.length === 0 || names.includes(name));
  const unknown = names.find((name) => !volumes.some((volume) => volume.name === name));
  if (unknown !== undefined) throw noVolume(site, unknown);
  if (feed.controller.state.kind !== "serving") {
    const why = snapshot(site).reason;
    throw new OperatingError(
      "mirror.not-serving",
      `The primary does not serve yet: ${why}.`,
      "Try again when it does.",
    );
  }
  const survey = new Survey(world, config.site.name, site.storage.volumes.size > 0, feed.controller);
  try {
    for (const { id, name, size } of volumes) {
      await body(survey, feed.controller, { id, name, blocks: size / BLOCK_BYTES });
    }
  } finally {
    survey.close();
  }
}
