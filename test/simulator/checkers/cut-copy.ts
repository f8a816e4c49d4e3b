/**
 * A site as it would be found after a power cut at this moment: its drives, copied into a universe of their own, and
 * opened with the product's own inspection. The running universe does not notice.
 */

import { isOperatingError } from "../../../src/base/operating-error.ts";
import { BLOCK_BYTES, type Lba, lba } from "../../../src/base/units.ts";
import type { Config, VolumeConfig } from "../../../src/config/config.ts";
import { Journal, type JournalView } from "../../../src/journal/journal.ts";
import type { Arithmetic } from "../../../src/platform/arithmetic.ts";
import {
  type CutShape,
  type DriveSnapshot,
  type Machine,
  MemoryUniverse,
  type SeededRandom,
  type SimulatedDrive,
} from "../../../src/platform/memory/memory-world.ts";
import { drainMicrotasks } from "../../../src/platform/memory/real-turn.ts";
import { UNKNOWN } from "../../../src/raid/checksum.ts";
import { DiskArray } from "../../../src/raid/disk-array.ts";
import { checksumBlock, ZONE_DATA_BLOCKS, zoneOf } from "../../../src/raid/member-layout.ts";
import { Inspection } from "../../../src/site/inspection.ts";

const SHAPES: readonly CutShape[] = ["drop all", "keep all", "mixed", "mostly kept"];

export class CutCopy {
  readonly name: string;
  readonly #config: Config;
  readonly #universe: MemoryUniverse;
  readonly #inspection: Inspection | undefined;
  /** Drives that are there. */
  readonly #paths = new Set<string>();
  readonly #media: DriveSnapshot[] = [];
  readonly journal: JournalView;

  /**
   * @param journalDrive the drive with the site's journal, wherever it is now
   * @param random       decides what the cut leaves
   * @param arithmetic   what the copy reckons with
   * @throws OperatingError as the product refuses what it finds
   */
  constructor(
    machine: Machine,
    config: Config,
    journalDrive: SimulatedDrive | undefined,
    random: SeededRandom,
    arithmetic: Arithmetic,
  ) {
    this.name = machine.name;
    this.#config = config;
    this.#universe = new MemoryUniverse(random.seed, { arithmetic });
    const shape = random.pick(SHAPES);
    const { journal, drives } = config;
    const found = drives.map(({ path }) => [path, machine.findDrive(path)] as const);
    for (const [path, drive] of [[journal.device, journalDrive] as const, ...found]) {
      // An array's drive that was pulled out may be gone for good; a journal's is in somebody's hands.
      if (drive === undefined || !(drive.present || drive === journalDrive)) continue;
      this.#paths.add(path);
      const size = drive.blockCount * BLOCK_BYTES;
      const media = drive.cutSnapshot(random, shape);
      this.#universe.addDrive(this.name, path, size).restore(media);
      if (path !== journal.device) this.#media.push(media);
    }
    this.#inspection = this.stores ? this.#inspect() : undefined;
    this.journal = this.#inspection?.journal ?? this.#inspectJournal();
  }

  /** The array that holds its volumes; undefined where it stores nothing. */
  get array(): Config["arrays"][string] | undefined {
    return Object.values(this.#config.arrays)[0];
  }

  get stores(): boolean {
    return Object.keys(this.#config.arrays).length > 0;
  }

  /**
   * Whether the array has given up the parity of a row, or a block of it, since it was torn and something of it was bad;
   * or can't know, since a checksum block is gone.
   */
  hasUnknown(row: number): boolean {
    return this.#media.some(({ pages, latent }) => {
      if (latent.has(checksumBlock(zoneOf(row)))) return true;
      const page = pages.get(checksumBlock(zoneOf(row)));
      if (page === undefined) return false;
      const entry = new Uint32Array(page.buffer, page.byteOffset, ZONE_DATA_BLOCKS)[row % ZONE_DATA_BLOCKS];
      return entry === UNKNOWN;
    });
  }

  /**
   * Fills `into` with what is stored of a volume: journal over array. Only where the site stores.
   *
   * @returns the blocks that its array can't read
   */
  readStored(volume: VolumeConfig, into: Uint8Array): ReadonlySet<number> {
    const unreadable = new Set<number>();
    const take = async (offset: number, part: Uint8Array) => into.set(part, offset);
    const read = this.#inspection?.read(volume.name, take, (block) => unreadable.add(block));
    if (read !== undefined) this.#settled(read);
    return unreadable;
  }

  /** Puts what the journal holds of a volume over its content from another site. */
  overlay(volume: VolumeConfig, content: Uint8Array): void {
    for (let block = 0; block < content.length / BLOCK_BYTES; block++) this.#overlayBlock(volume, lba(block), content);
  }

  #overlayBlock({ id }: VolumeConfig, block: Lba, content: Uint8Array): void {
    const newest = this.journal.newest(id, block);
    const head = this.journal.head(newest);
    if (head === undefined) return;
    const into = content.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
    if (head.kind === "unmap") into.fill(0);
    else this.#settled(this.journal.readData(newest, block - head.lba, 1, into));
  }

  #inspect(): Inspection {
    const world = this.#universe.world(this.name);
    try {
      return this.#settled(Inspection.open(world, this.#config));
    } catch (error) {
      // It asks for one assembly that may write, which nothing keeps from being made here.
      if (!isOperatingError(error, "raid.log-pending")) throw error;
      this.#settled(this.#completeLoggedWrites());
      return this.#settled(Inspection.open(world, this.#config));
    }
  }

  async #completeLoggedWrites(): Promise<void> {
    const world = this.#universe.world(this.name);
    const { group, drives, arrays } = this.#config;
    for (const array of Object.values(arrays)) {
      const paths = array.drives.map((slot) => drives[slot].path).filter((path) => this.#paths.has(path));
      const opened = await Promise.all(paths.map((path) => world.drives.open(path, "read-write")));
      const options = { name: array.name, group, acceptDirtyDegraded: true };
      await (await DiskArray.assemble(world, opened, options)).close();
      for (const drive of opened) await drive.close();
    }
  }

  #inspectJournal(): JournalView {
    const world = this.#universe.world(this.name);
    const { journal, group, site } = this.#config;
    const drive = this.#settled(world.drives.open(journal.device, "read-only"));
    return this.#settled(Journal.inspect(world, drive, { group, site: site.name }));
  }

  /** Lets the copy's own time pass until the promise settles: nothing is waited for, and nothing else happens meanwhile. */
  #settled<T>(promise: PromiseLike<T> | T): T {
    const outcomes: ({ value: T } | { error: unknown })[] = [];
    this.#universe.result(promise).then(
      (value) => outcomes.push({ value }),
      (error: unknown) => outcomes.push({ error }),
    );
    drainMicrotasks();
    const [outcome] = outcomes;
    if (outcome === undefined) throw new Error(`the copy of ${this.name} takes too many events to be looked at`);
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }
}
