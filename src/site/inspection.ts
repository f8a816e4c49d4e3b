/**
 * A stopped site, looked at without writing a byte: its arrays are assembled and its journal is read, and volumes
 * are read as the site would serve them.
 */

import { assert } from "../base/assert.ts";
import type { BlockDevice } from "../base/block-device.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, lba, MiB, sequence, type VolumeId } from "../base/units.ts";
import type { Config, VolumeConfig } from "../config/config.ts";
import { Journal, type JournalView } from "../journal/journal.ts";
import { ReadCache } from "../journal/read-cache.ts";
import { Reader } from "../pipeline/reader.ts";
import type { Drive } from "../platform/drive.ts";
import type { World } from "../platform/world.ts";
import { DiskArray } from "../raid/disk-array.ts";

export interface InspectedVolume {
  readonly name: string;
  readonly lun: number;
  readonly bytes: number;
  /** Requests in the journal that touch it and are not in the array yet, or not known to be. */
  readonly journalled: number;
}

export interface InspectionReport {
  readonly site: string;
  readonly group: string;
  readonly arrays: readonly { readonly name: string; readonly level: number; readonly state: string }[];
  readonly journal: {
    readonly lastEpoch: number;
    readonly appended: number;
    readonly retired: number;
    readonly promisedEpoch: number;
  };
  readonly volumes: readonly InspectedVolume[];
  readonly missing: readonly string[];
}

/** Bytes read at a time. */
const READ_BYTES = 4 * MiB;

export class Inspection {
  readonly #world: World;
  readonly #config: Config;
  readonly #opened: { close(): Promise<void> }[] = [];
  readonly #arrays: DiskArray[] = [];
  readonly #missing: string[] = [];
  readonly #devices = new Map<VolumeId, BlockDevice>();
  #journal: JournalView | undefined;

  private constructor(world: World, config: Config) {
    this.#world = world;
    this.#config = config;
  }

  static async open(world: World, config: Config): Promise<Inspection> {
    const inspection = new Inspection(world, config);
    try {
      await inspection.#assemble();
      return inspection;
    } catch (error) {
      await inspection.close();
      throw error;
    }
  }

  /** The journal, to look at its requests. */
  get journal(): JournalView {
    assert(this.#journal !== undefined, "the journal was opened with the inspection");
    return this.#journal;
  }

  get report(): InspectionReport {
    const { journal } = this;
    const touching = new Map<VolumeId, number>();
    for (let at = journal.retired + 1; at <= journal.appended; at++) {
      const head = journal.head(sequence(at));
      if (head !== undefined && head.kind !== "epoch-start") {
        touching.set(head.volume, (touching.get(head.volume) ?? 0) + 1);
      }
    }
    return {
      site: this.#config.site.name,
      group: this.#config.group,
      arrays: this.#arrays.map(({ status: { name, level, state } }) => ({ name, level, state })),
      journal: {
        lastEpoch: journal.lastEpoch,
        appended: journal.appended,
        retired: journal.retired,
        promisedEpoch: journal.promised,
      },
      volumes: Object.values(this.#config.volumes).map(({ name, lun, size, id }) => ({
        name,
        lun,
        bytes: size,
        journalled: touching.get(id) ?? 0,
      })),
      missing: this.#missing,
    };
  }

  /**
   * Reads a whole volume, in order, and hands each part to `take`; the part is only valid until `take` resolves.
   * Rejects with `inspect.no-volume`, or with the array's error where blocks can't be read; but with `onUnreadable`
   * those are zeros, and it is told of each, by its address in blocks of 4 KiB.
   */
  async read(
    name: string,
    take: (offset: number, part: Uint8Array) => Promise<void>,
    onUnreadable?: (block: number) => void,
  ): Promise<void> {
    const volume: VolumeConfig | undefined = this.#config.volumes[name];
    if (volume === undefined || !this.#devices.has(volume.id)) {
      const known = Object.values(this.#config.volumes)
        .filter(({ id }) => this.#devices.has(id))
        .map((each) => each.name);
      throw new OperatingError(
        "inspect.no-volume",
        `Site ${this.#config.site.name} stores no volume '${name}'.`,
        known.length === 0 ? "It stores no volume at all." : `It stores: ${known.join(", ")}.`,
      );
    }
    const cache = new ReadCache(this.#world, READ_BYTES);
    const reader = new Reader(this.#world.arithmetic, this.journal, cache, this.#devices);
    const buffer = this.#world.memory.allocate(READ_BYTES);
    for (let offset = 0; offset < volume.size; offset += READ_BYTES) {
      const part = buffer.subarray(0, Math.min(READ_BYTES, volume.size - offset));
      await readPart(reader, volume.id, offset / BLOCK_BYTES, part, onUnreadable);
      await take(offset, part);
    }
    this.#world.memory.free(buffer);
  }

  async close(): Promise<void> {
    for (const each of this.#opened.reverse()) await each.close();
  }

  async #assemble(): Promise<void> {
    const drives: (Drive | undefined)[] = [];
    for (const { path } of this.#config.drives) drives.push(await this.#openDrive(path));
    for (const { name, drives: slots } of Object.values(this.#config.arrays)) {
      const members = slots.map((slot) => drives[slot]).filter((drive) => drive !== undefined);
      const array = await DiskArray.assemble(this.#world, members, { name, group: this.#config.group, readOnly: true });
      this.#opened.push(array);
      this.#arrays.push(array);
    }
    for (const { name, id } of Object.values(this.#config.volumes)) {
      const device = this.#arrays.map((array) => array.volume(name)).find((found) => found !== undefined);
      if (device !== undefined) this.#devices.set(id, device);
    }
    const { group, site, journal } = this.#config;
    const journalDrive = await this.#world.drives.open(journal.device, "read-only");
    this.#opened.push(journalDrive);
    this.#journal = await Journal.inspect(this.#world, journalDrive, { group, site: site.name });
  }

  async #openDrive(path: string): Promise<Drive | undefined> {
    try {
      const drive = await this.#world.drives.open(path, "read-only");
      this.#opened.push(drive);
      return drive;
    } catch (error) {
      if (!isOperatingError(error, "drive.missing")) throw error;
      this.#missing.push(path);
      return undefined;
    }
  }
}

async function readPart(
  reader: Reader,
  volume: VolumeId,
  first: number,
  part: Uint8Array,
  onUnreadable: ((block: number) => void) | undefined,
): Promise<void> {
  try {
    await reader.readStored(volume, lba(first), part);
  } catch (error) {
    if (onUnreadable === undefined || !isOperatingError(error, "raid.unreadable")) throw error;
    if (part.length === BLOCK_BYTES) {
      part.fill(0);
      onUnreadable(first);
      return;
    }
    for (let at = 0; at < part.length; at += BLOCK_BYTES) {
      await readPart(reader, volume, first + at / BLOCK_BYTES, part.subarray(at, at + BLOCK_BYTES), onUnreadable);
    }
  }
}
