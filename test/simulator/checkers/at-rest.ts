/**
 * A system that has come to rest: every journal is empty, every array is whole by an oracle of its own, and all sites
 * that store have the same volumes, as they are read and as the media have them.
 */

import { lba } from "../../../src/base/units.ts";
import type { VolumeConfig } from "../../../src/config/config.ts";
import type { SimulatedDrive } from "../../../src/platform/memory/memory-world.ts";
import type { Site } from "../../../src/site/site.ts";
import { ArrayOracle } from "./array-oracle.ts";
import type { WatchedSystem } from "./fleet.ts";
import type { LogRecord } from "./log-record.ts";

const NO_REQUEST = () => undefined;

export class AtRest {
  readonly name = "at-rest";
  /** Rows of all arrays that were verified. */
  rows = 0;
  readonly #system: WatchedSystem;
  readonly #record: LogRecord;
  readonly #isDamaged: (drive: SimulatedDrive) => boolean;
  /** The first site's content of each volume, by its LUN. */
  readonly #contents = new Map<number, { readonly site: string; readonly content: Uint8Array }>();

  /** @param isDamaged whether faults were made on a drive, so that nothing it holds can be relied on */
  constructor(system: WatchedSystem, record: LogRecord, isDamaged: (drive: SimulatedDrive) => boolean) {
    this.#system = system;
    this.#record = record;
    this.#isDamaged = isDamaged;
  }

  /** Lets the universe run as far as reading takes. @returns the first thing found wrong */
  async look(): Promise<string | undefined> {
    this.#contents.clear();
    const last = Math.max(...Array.from(this.#system.sites.values(), ({ pipeline }) => pipeline.appended));
    for (const [name, site] of this.#system.sites) {
      const { appended, retired } = site.storage.journal;
      if (appended !== last || retired !== last) {
        return `${name} has requests up to ${appended}, retired up to ${retired}; the last of all is ${last}`;
      }
      const fault = await this.#storage(name, site);
      if (fault !== undefined) return `${name}: ${fault}`;
    }
    return undefined;
  }

  async #storage(name: string, site: Site): Promise<string | undefined> {
    const { config } = site;
    for (const array of Object.values(config.arrays)) {
      const oracle = new ArrayOracle(array.drives.flatMap((slot) => this.#drive(name, config.drives[slot].path)));
      this.rows += oracle.rows;
      if (oracle.faults.length > 0) return `array ${array.name}: ${oracle.faults.join("; ")}`;
      for (const volume of Object.values(config.volumes)) {
        if (volume.array !== array.name) continue;
        const fault = await this.#volume(name, site, volume, oracle.volume(volume.name));
        if (fault !== undefined) return fault;
      }
    }
    return undefined;
  }

  #drive(name: string, path: string) {
    const drive = this.#system.universe.machine(name).findDrive(path);
    if (drive === undefined || !drive.present) return [];
    return [{ path, media: drive.snapshot(), isDamaged: this.#isDamaged(drive) }];
  }

  async #volume(
    name: string,
    site: Site,
    volume: VolumeConfig,
    onMedia: Uint8Array | undefined,
  ): Promise<string | undefined> {
    if (onMedia === undefined) return `its array has no volume ${volume.name}`;
    const stored = site.world.memory.allocate(volume.size);
    await this.#system.universe.result(site.pipeline.readStored(volume.id, lba(0), stored));
    const isSame = Buffer.compare(stored, onMedia) === 0;
    site.world.memory.free(stored);
    if (!isSame) return `volume ${volume.name} reads as something else than its media hold`;
    const fault = this.#record.contentFault(volume.id, onMedia, site.pipeline.appended, NO_REQUEST);
    if (fault !== undefined) return fault;
    const first = this.#contents.get(volume.lun);
    if (first === undefined) this.#contents.set(volume.lun, { site: name, content: onMedia });
    else if (Buffer.compare(first.content, onMedia) !== 0)
      return `volume ${volume.name} differs from that of ${first.site}`;
    return undefined;
  }
}
