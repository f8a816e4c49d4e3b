/**
 * The configuration as it was committed over time: numbered revisions in one folder, each a file of its own.
 *
 * - A revision is written whole or not at all, in one step that a power cut can't divide, and never changed except to
 *   confirm it. So at every moment the newest one is what it was before or what it is to be.
 * - A revision that waits to be confirmed says so in its own file, with the one that it goes back to otherwise. An
 *   appliance never starts from it: it finds it unconfirmed, and goes back.
 * - Going back is a new revision with the content of an older one. Numbers only grow.
 * - Only what parses and is consistent is committed. What can't be read or used all the same is named, and passed over:
 *   also what a newer release wrote, in a format that this one does not know.
 *
 * A file is the YAML as it was given, and a comment at its end that holds what is known of the revision and a checksum
 * over both: a site can be started from the file as it is, and lines have the same numbers in it.
 *
 * Several sessions and processes may edit at once: each commit names the revision that it was made from, and the later one
 * is refused, since a revision's file is only made where there is none. Until its time is over a revision can only be
 * confirmed, and after that only gone back from.
 */

import { crc32c } from "../base/crc32c.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { type Millis, millis } from "../base/units.ts";
import type { Clock } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import { type Config, type ParseOptions, parseConfig } from "./config.ts";
import { CONFIGURATION_FORMAT } from "./format.ts";

/** Revisions that are kept; older ones are removed, but never the one that is gone back to. */
export const REVISIONS_MAX = 50;

/** The author of revisions that go back. */
export const BY_ITSELF = "antipode";

/** A configuration larger than this is none. */
export const TEXT_BYTES_MAX = 1024 * 1024;

export interface Revision {
  /** From 1 on. */
  readonly number: number;
  /** Of the configuration in it, as `CONFIGURATION_FORMAT` was in the release that wrote it. */
  readonly format: number;
  /** When it was committed, in milliseconds since 1970, as the machine believed. */
  readonly time: number;
  readonly author: string;
  /** May be empty. */
  readonly comment: string;
  /** Until it is confirmed. */
  readonly unconfirmed?: Unconfirmed;
  /** YAML; ends with a newline. */
  readonly text: string;
}

export interface Unconfirmed {
  /** The newest revision before it that was confirmed. */
  readonly backTo: number;
  /** When it goes back by itself, in milliseconds since 1970. */
  readonly until: number;
}

/** A revision's file: what it holds, or why that can't be told. */
export interface Entry {
  readonly number: number;
  readonly revision?: Revision;
  readonly fault?: OperatingError;
}

/** Why a revision is not what a site is started from. */
export interface Fault {
  readonly number: number;
  readonly error: OperatingError;
}

/** What a site is started from. */
export type Boot =
  | {
      readonly kind: "revision";
      readonly revision: Revision;
      readonly config: Config;
      /** The revision that was not confirmed, if one was gone back from just now. */
      readonly wentBackFrom?: number;
      /** Of newer revisions, and of going back. */
      readonly faults: readonly Fault[];
    }
  /** No revision can be used: there is none, or each has a fault. */
  | { readonly kind: "safe-mode"; readonly faults: readonly Fault[] };

export interface Commit {
  readonly text: string;
  readonly author: string;
  readonly comment?: string;
  /** The newest revision when the text was begun; 0 where there was none. */
  readonly base: number;
  /** Goes back by itself unless it is confirmed within this time. */
  readonly confirmWithin?: Millis;
}

export interface RevisionsOptions extends ParseOptions {
  /** The format that is written, and the highest that is read. */
  readonly format?: number;
}

const FILE = /^revision-([1-9]\d{0,8})\.yaml$/;
const TRAILER = "# antipode revision ";
/** Of a file that does not say. */
const FORMAT_FIRST = 1;

export class Revisions {
  readonly #format: number;
  #last: Promise<void> = Promise.resolve();

  constructor(
    readonly folder: string,
    private readonly files: Files,
    private readonly clock: Pick<Clock, "wallClock">,
    private readonly options: RevisionsOptions = {},
  ) {
    this.#format = options.format ?? CONFIGURATION_FORMAT;
  }

  /** The file of a revision, from which a site can be started. */
  path(number: number): string {
    return `${this.folder}/revision-${number}.yaml`;
  }

  /** Throws `config.invalid` with every problem, as a commit would. */
  check(text: string): Config {
    // Relative paths in it start where the revision's file will be.
    return parseConfig(text, `${this.folder}/candidate`, this.options);
  }

  /** Newest first; one that can't be read is among them. */
  async numbers(): Promise<readonly number[]> {
    const names = await this.files.list(this.folder);
    const numbers = names.flatMap((name) => {
      const match = FILE.exec(name);
      return match === null ? [] : [Number(match[1])];
    });
    return numbers.sort((a, b) => b - a);
  }

  /** Newest first. */
  async list(): Promise<readonly Entry[]> {
    return Promise.all((await this.numbers()).map((number) => this.#entry(number)));
  }

  /** The newest; undefined where there is none. Rejects as `read` does where it can't be read. */
  async newest(): Promise<Revision | undefined> {
    const [number] = await this.numbers();
    return number === undefined ? undefined : this.read(number);
  }

  /**
   * The format that a firmware has to read to go on with what there is: that of the newest revision that this one can read.
   * Undefined where there is none.
   */
  async formatInUse(): Promise<number | undefined> {
    return (await this.list()).find(({ revision }) => revision !== undefined)?.revision?.format;
  }

  /** Rejects with `revision.missing`, `revision.damaged` or `revision.format`. */
  async read(number: number): Promise<Revision> {
    const content = await this.files.read(this.path(number));
    if (content !== undefined) {
      const revision = decode(number, this.path(number), content);
      if (revision.format > this.#format) throw tooNew(revision, this.#format);
      return revision;
    }
    const numbers = await this.numbers();
    const known = numbers.length === 0 ? "There is none yet." : `There are ${numbers.at(-1)} to ${numbers[0]}.`;
    throw new OperatingError("revision.missing", `There is no revision ${number} of the configuration.`, known);
  }

  /**
   * Makes a text the newest revision; without `confirmWithin` that confirms it. Rejects with `config.invalid`, with
   * `revision.moved` where `base` is not the newest any more, or with `file.failed`, and then the newest is what it was.
   */
  commit(commit: Commit): Promise<Revision> {
    return this.#alone(() => this.#commit(commit));
  }

  async #commit({ text, author, comment = "", base, confirmWithin }: Commit): Promise<Revision> {
    this.check(text);
    const entries = await this.list();
    const newest = entries[0];
    if ((newest?.number ?? 0) !== base) {
      const by = newest?.revision === undefined ? "" : ` by ${newest.revision.author}`;
      throw moved(newest?.number ?? 0, by);
    }
    const time = this.clock.wallClock();
    const backTo = entries.find(({ revision }) => revision !== undefined && revision.unconfirmed === undefined)?.number;
    if (confirmWithin !== undefined && backTo === undefined) {
      throw new OperatingError(
        "revision.no-way-back",
        "There is no revision yet that a commit could go back to.",
        "Use commit without confirmed.",
      );
    }
    const unconfirmed =
      confirmWithin === undefined || backTo === undefined ? undefined : { backTo, until: time + confirmWithin };
    const about = { number: base + 1, format: this.#format, time, author, comment, unconfirmed };
    const revision = { ...about, text: withNewline(text) };
    return this.#append(revision, entries);
  }

  /** The newest revision stays. Rejects with `revision.confirmed` where nothing waits for that, or `revision.late`. */
  confirm(): Promise<Revision> {
    return this.#alone(() => this.#confirm());
  }

  async #confirm(): Promise<Revision> {
    const newest = await this.newest();
    if (newest?.unconfirmed === undefined) {
      throw new OperatingError(
        "revision.confirmed",
        "No revision waits to be confirmed.",
        "show revisions tells which there are; one that was not confirmed in time has been gone back from.",
      );
    }
    if ((await this.confirmationDue()) === 0) {
      throw new OperatingError(
        "revision.late",
        `The time to confirm revision ${newest.number} is over, and it is being gone back from.`,
        "rollback takes it up again, to be committed once more.",
      );
    }
    const { unconfirmed: _, ...confirmed } = newest;
    await this.files.replace(this.path(newest.number), encode(confirmed));
    return confirmed;
  }

  /**
   * Where the newest revision waits to be confirmed, appends one with the content that it goes back to.
   * @returns the new one; undefined where nothing waits
   */
  goBack(): Promise<Revision | undefined> {
    return this.#alone(() => this.#goBack());
  }

  async #goBack(): Promise<Revision | undefined> {
    const entries = await this.list();
    const newest = entries[0]?.revision;
    if (newest?.unconfirmed === undefined) return undefined;
    return this.#goBackTo(await this.read(newest.unconfirmed.backTo), newest.number, entries);
  }

  /** How long the newest revision may still wait to be confirmed; undefined where it need not be. */
  async confirmationDue(): Promise<Millis | undefined> {
    const [number] = await this.numbers();
    const newest = number === undefined ? undefined : (await this.#entry(number)).revision;
    if (newest?.unconfirmed === undefined) return undefined;
    const { until } = newest.unconfirmed;
    // A wall clock that was set back must not make the wait longer than it was meant to be.
    return millis(Math.max(0, Math.min(until - this.clock.wallClock(), until - newest.time)));
  }

  /**
   * What an appliance starts from: the newest revision that was confirmed and can be used. One that waits to be confirmed is
   * gone back from, so this is not for a site's process that is started again while the appliance runs.
   */
  boot(): Promise<Boot> {
    return this.#alone(() => this.#choose(true));
  }

  /** What a site's process is started from while the appliance runs: as `boot`, but the newest may wait to be confirmed. */
  current(): Promise<Boot> {
    return this.#alone(() => this.#choose(false));
  }

  async #choose(goesBack: boolean): Promise<Boot> {
    const entries = await this.list();
    const newest = entries[0]?.revision;
    const faults: Fault[] = [];
    for (const { number, revision, fault } of entries) {
      if (revision === undefined || fault !== undefined) {
        if (fault !== undefined) faults.push({ number, error: fault });
        continue;
      }
      if (revision.unconfirmed !== undefined && (goesBack || revision !== newest)) {
        faults.push({ number, error: neverConfirmed(revision) });
        continue;
      }
      try {
        const config = parseConfig(revision.text, this.path(number), this.options);
        if (!goesBack || newest?.unconfirmed === undefined) return { kind: "revision", revision, config, faults };
        const again = await this.#goBackTo(revision, newest.number, entries).catch((error) => {
          // A site that can't write down that it went back serves all the same, and goes back again at its next start.
          faults.push({ number: newest.number, error: expected(error) });
          return revision;
        });
        return { kind: "revision", revision: again, config, wentBackFrom: newest.number, faults };
      } catch (error) {
        faults.push({ number, error: expected(error) });
      }
    }
    return { kind: "safe-mode", faults };
  }

  #goBackTo(to: Revision, from: number, entries: readonly Entry[]): Promise<Revision> {
    const comment = `back to revision ${to.number}: revision ${from} was not confirmed`;
    const time = this.clock.wallClock();
    const about = { number: entries[0].number + 1, format: to.format, time, author: BY_ITSELF, comment };
    return this.#append({ ...about, text: to.text }, entries);
  }

  /** @param entries what there is, newest first */
  async #append(revision: Revision, entries: readonly Entry[]): Promise<Revision> {
    const content = encode(revision);
    if (content.length > TEXT_BYTES_MAX) {
      throw new OperatingError(
        "revision.too-large",
        `The configuration has ${content.length} bytes.`,
        `At most ${TEXT_BYTES_MAX} are kept.`,
      );
    }
    if (entries.length === 0) await this.files.makeFolder(this.folder);
    // Before, so that the folder never has more than it may, and a full one gets room.
    for (const { number } of entries.slice(REVISIONS_MAX - 1)) {
      if (number !== revision.unconfirmed?.backTo) await this.files.remove(this.path(number));
    }
    try {
      await this.files.replace(this.path(revision.number), content, { isNew: true });
    } catch (error) {
      // Another process was quicker by less than it takes to look.
      if (isOperatingError(error, "file.exists")) throw moved(revision.number, "");
      throw error;
    }
    return revision;
  }

  /** One change at a time, each of which sees all that the one before has done. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#last.then(change);
    this.#last = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  async #entry(number: number): Promise<Entry> {
    try {
      return { number, revision: await this.read(number) };
    } catch (error) {
      return { number, fault: expected(error) };
    }
  }
}

function withNewline(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

function encode({ text, ...about }: Revision): Uint8Array {
  const encoder = new TextEncoder();
  const plain = `${text}${TRAILER}${JSON.stringify(about)}`;
  return encoder.encode(`${plain} ${crc32c(encoder.encode(plain)).toString(16).padStart(8, "0")}\n`);
}

/** Throws `revision.damaged`. */
function decode(number: number, path: string, content: Uint8Array): Revision {
  const damaged = (reason: string) =>
    new OperatingError(
      "revision.damaged",
      `${path} is not as it was written: ${reason}.`,
      "Go on from another revision: show revisions lists them, and rollback N takes one up.",
    );
  if (content.length > TEXT_BYTES_MAX) throw damaged(`it has ${content.length} bytes`);
  const decoded = new TextDecoder().decode(content);
  const start = decoded.lastIndexOf(TRAILER);
  const match = start < 0 ? null : /^(\{.*\}) ([0-9a-f]{8})\n$/.exec(decoded.slice(start + TRAILER.length));
  if (match === null || (start > 0 && decoded[start - 1] !== "\n"))
    throw damaged("its last line is not that of a revision");
  // The checksum is over bytes: what is no UTF-8 would be lost in the text.
  const summed = content.subarray(0, content.length - match[2].length - 2);
  if (crc32c(summed) !== Number.parseInt(match[2], 16)) throw damaged("its checksum is wrong");
  const about: Omit<Revision, "text" | "format"> & { readonly format?: number } = JSON.parse(match[1]);
  if (about.number !== number) throw damaged(`it is revision ${about.number}`);
  return { ...about, format: about.format ?? FORMAT_FIRST, text: decoded.slice(0, start) };
}

function tooNew({ number, format }: Revision, highest: number): OperatingError {
  return new OperatingError(
    "revision.format",
    `Revision ${number} was written by a newer firmware in format ${format}; this one reads formats up to ${highest}.`,
    "Go back to that firmware, or commit a revision that this one can read.",
  );
}

function moved(number: number, by: string): OperatingError {
  return new OperatingError(
    "revision.moved",
    `Revision ${number} was committed${by} since these changes were begun.`,
    "Save the changes to a file if they are of worth, discard them, and make them again.",
  );
}

function neverConfirmed({ number }: Revision): OperatingError {
  return new OperatingError(
    "revision.unconfirmed",
    `Revision ${number} was not confirmed before the site was started again.`,
    "Commit it again if it is right, and confirm it in time.",
  );
}

/** Lets only errors through that operation brings with it; anything else is a bug and goes on. */
function expected(error: unknown): OperatingError {
  if (isOperatingError(error)) return error;
  throw error;
}
