/**
 * The boot slots: at most two versions of the firmware in the EFI system partition, of which systemd-boot starts one.
 *
 * A slot is one file, and what it is for is in its name (slot-name.ts). Every change here is one rename, or one after
 * another such that a power cut between them leaves what would have been started before or what is to be started now. The
 * running slot is never removed or written to; to be passed over, it is renamed to have no tries left.
 */

import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/operating-error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import { startedFile } from "./boot-variables.ts";
import { assertFits } from "./check-update.ts";
import type { FormatsInUse } from "./formats.ts";
import { type LastChange, type Outcome, outcomeOf, readLastChange, writeLastChange } from "./last-change.ts";
import {
  bootOrder,
  formatSlotName,
  isSetAside,
  parseSlotName,
  SET_ASIDE,
  type SlotName,
  TRIES,
  type Tries,
} from "./slot-name.ts";
import { readUki } from "./uki.ts";
import type { Version } from "./version.ts";

export interface Slot extends SlotName {
  /** The file's name. */
  readonly file: string;
  readonly bytes: number;
}

export interface SlotView {
  /** In the order in which systemd-boot would start them. */
  readonly slots: readonly Slot[];
  /** What runs now; undefined where systemd-boot did not start it from one of these slots. */
  readonly running: { readonly slot: Slot; readonly wasGood: boolean } | undefined;
  /** What the next start will be of. */
  readonly next: Slot | undefined;
  /** Files without content: what a power cut in a rename leaves after the file system's check. systemd-boot passes them over. */
  readonly empty: readonly string[];
}

/** What `markGood` found or did. `set-aside`: an operator has already chosen the other slot for the next start. */
export type Marked = "marked" | "was-good" | "set-aside";

export interface SlotFolders {
  /** Where the EFI system partition is mounted. */
  readonly esp: string;
  readonly efivars: string;
}

const FOLDER = "EFI/Linux";
/** What is being written. systemd-boot takes no file for an image whose name does not end in `.efi`. */
export const INCOMING = "antipode.incoming";

export class Slots {
  readonly #files: Files;
  readonly #folders: SlotFolders;
  readonly #clock: Pick<Clock, "wallClock">;

  constructor(files: Files, folders: SlotFolders, clock: Pick<Clock, "wallClock">) {
    this.#files = files;
    this.#folders = folders;
    this.#clock = clock;
  }

  /** The folder of the slots' files. */
  get folder(): string {
    return `${this.#folders.esp}/${FOLDER}`;
  }

  async look(): Promise<SlotView> {
    const found: Slot[] = [];
    const empty: string[] = [];
    for (const file of await this.#files.list(this.folder)) {
      const name = parseSlotName(file);
      if (name === undefined) continue;
      const bytes = await this.#bytesOf(file);
      if (bytes > 0) found.push({ ...name, file, bytes });
      else empty.push(file);
    }
    const slots = found.sort(bootOrder);
    const started = parseSlotName((await startedFile(this.#files, this.#folders.efivars)) ?? "");
    const slot = slots.find(({ version }) => version === started?.version);
    const running = slot && { slot, wasGood: started?.tries === undefined };
    return { slots, running, next: slots.at(0), empty };
  }

  async #bytesOf(file: string): Promise<number> {
    const reader = await this.#files.open(`${this.folder}/${file}`);
    await reader?.close();
    return reader?.size ?? 0;
  }

  /** What became of the last change. */
  async outcome(view: SlotView): Promise<Outcome> {
    return outcomeOf(await readLastChange(this.#files, this.#folders.esp), view);
  }

  /**
   * Removes what a power cut left: files without content, and an image that was not to the end. For the start of the
   * appliance, after the file system's check. What is empty keeps systemd-boot from counting: it can't rename onto it.
   */
  async tidy(): Promise<readonly string[]> {
    const names = await this.#files.list(this.folder);
    const { empty } = await this.look();
    const left = names.filter((name) => name === INCOMING || empty.includes(name));
    for (const file of left) await this.remove(file);
    return left;
  }

  /**
   * The slots as they are before a change, without what a power cut left. Throws where it is unknown what runs, or where two
   * files are of one version; then nothing was touched.
   */
  async begin(): Promise<SlotView & { readonly running: NonNullable<SlotView["running"]> }> {
    const view = await this.look();
    const { slots, running } = view;
    if (running === undefined) {
      throw new OperatingError(
        "firmware.not-started-here",
        `What runs was not started by systemd-boot from a slot that is in ${this.folder} now.`,
        "Restart the appliance from its own drive; on a machine that is no appliance there are no slots.",
      );
    }
    const twice = slots.find((slot, at) => slots.findIndex(({ version }) => version === slot.version) !== at);
    if (twice !== undefined) {
      // After a power cut in a rename both names may lead to the same clusters: removing one would free the other's.
      throw new OperatingError(
        "firmware.twice",
        `Version ${twice.version} has two files in ${this.folder}, one of which is ${twice.file}.`,
        "Restart the appliance, so that the partition is checked before it is mounted.",
      );
    }
    await this.tidy();
    return { ...view, running };
  }

  /** The running version has proven itself: its starts are counted no more. Reads back what it did. */
  async markGood(): Promise<Marked> {
    const view = await this.begin();
    const { slot } = view.running;
    if (slot.tries === undefined) return "was-good";
    // systemd-boot counts what it starts: without a start done, the slot got its name after it was started.
    if (isSetAside(slot)) return "set-aside";
    await this.rename(slot, undefined);
    const after = await this.look();
    if (after.running?.slot.file !== formatSlotName({ version: slot.version, tries: undefined })) {
      throw notAsWritten(`${slot.file} is not marked good, though it was renamed`);
    }
    return "marked";
  }

  /**
   * Has the next start be of another slot; without a version, of that one which it would not be of, were what runs good.
   * Throws where that firmware can't work with what is in use here. It is tried as an update is, unless it is what there is
   * to come back to.
   */
  async choose(version: Version | undefined, inUse: FormatsInUse): Promise<SlotView> {
    const view = await this.begin();
    const { slots, next, running } = view;
    const [expected] = slots.toSorted(orderOnceGood(running));
    const target = slots.find((slot) => (version === undefined ? slot !== expected : slot.version === version));
    if (target === undefined || next === undefined) {
      const here = slots.map((slot) => slot.version).join(" and ");
      const wanted = version === undefined ? "no other version to go to" : `no version ${version}`;
      throw new OperatingError(
        "firmware.no-slot",
        `There is ${wanted}: only ${here} is here.`,
        "Install the update file of that version.",
      );
    }
    if (target === next && inTheWayOf(target, view).length === 0) return view;
    if (target !== running.slot) await this.#assertCanRun(target, inUse);
    const from = target === next ? running.slot : next;
    await this.record({ cause: "operator", from: from.version, to: target.version });
    const runningIsGood = running.wasGood || running.slot.tries === undefined;
    const staysGood = target.tries === undefined && !runningIsGood;
    const isGoodAgain = target === running.slot && runningIsGood;
    await this.rename(target, staysGood || isGoodAgain ? undefined : { left: TRIES, done: 0 });
    return this.putFirst(target.version);
  }

  async #assertCanRun({ file, version }: Slot, inUse: FormatsInUse): Promise<void> {
    const reader = await this.#files.open(`${this.folder}/${file}`);
    assert(reader !== undefined, "a slot that was just seen is there");
    try {
      const uki = await readUki(reader, 0);
      if (typeof uki !== "string" && uki.version === version) return assertFits(uki, inUse);
      const why = typeof uki === "string" ? uki : `it is of version ${uki.version}`;
      const remedy = "Install the update file of the version that is wanted.";
      throw new OperatingError("firmware.slot", `The slot ${file} can't be started: ${why}.`, remedy);
    } finally {
      await reader.close();
    }
  }

  /** Sets aside what is in the way of this version, which has tries. Reads back what it did. */
  async putFirst(version: Version): Promise<SlotView> {
    const view = await this.look();
    const target = view.slots.find((slot) => slot.version === version);
    if (target === undefined) throw notAsWritten(`Version ${version} is not in ${this.folder}`);
    for (const slot of inTheWayOf(target, view)) await this.rename(slot, SET_ASIDE);
    const after = await this.look();
    if (after.next?.version !== version) throw notAsWritten(`The next start is not of ${version}`);
    return after;
  }

  async record(change: Omit<LastChange, "atMs">): Promise<void> {
    await writeLastChange(this.#files, this.#folders.esp, { ...change, atMs: this.#clock.wallClock() });
  }

  async rename(slot: Slot, tries: Tries | undefined): Promise<void> {
    const name = formatSlotName({ version: slot.version, tries });
    if (name === slot.file) return;
    await this.#files.rename(`${this.folder}/${slot.file}`, `${this.folder}/${name}`);
  }

  async remove(file: string): Promise<void> {
    await this.#files.remove(`${this.folder}/${file}`);
  }
}

/** The order in which systemd-boot would start slots once what runs is marked good, which what is set aside never is. */
function orderOnceGood(running: SlotView["running"]): (a: Slot, b: Slot) => number {
  const onceGood = (slot: Slot): SlotName =>
    slot === running?.slot && !isSetAside(slot) ? { version: slot.version, tries: undefined } : slot;
  return (a, b) => bootOrder(onceGood(a), onceGood(b));
}

/** Slots that would be started before the target, now or once what runs is marked good. */
function inTheWayOf(target: Slot, { slots, running }: SlotView): readonly Slot[] {
  const order = orderOnceGood(target === running?.slot ? undefined : running);
  return slots.filter((slot) => order(slot, target) < 0);
}

export function notAsWritten(what: string): OperatingError {
  return new OperatingError(
    "firmware.unwritten",
    `${what}: the drive did not keep what was written.`,
    "Try again; if it repeats, replace the drive that the appliance starts from.",
  );
}
