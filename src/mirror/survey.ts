/**
 * What every site has stored of an extent, as checksums that each makes of its own copy: asked of all at once.
 *
 * Hosts go on writing meanwhile. An extent that was written while its sites were asked is asked for again; for one that
 * never comes to rest host writes wait.
 */

import { OperatingError } from "../base/operating-error.ts";
import { lba as asLba, BLOCK_BYTES, type VolumeId } from "../base/units.ts";
import { askChecksums, CHECKSUM_BLOCKS_MAX, type ChecksumQuestion, type SiteChecksums } from "../pipeline/calls.ts";
import type { World } from "../platform/world.ts";
import type { AdmittedWrite } from "./admission.ts";
import type { Leg } from "./leg.ts";
import type { MirrorController } from "./mirror-controller.ts";

/** Attempts at an extent that hosts keep writing, before their writes are made to wait. */
const ATTEMPTS_MAX = 4;

export class Survey {
  readonly #world: World;
  readonly #site: string;
  readonly #stores: boolean;
  readonly #controller: MirrorController;
  readonly #buffer: Uint8Array;

  /**
   * @param site   the controller's own
   * @param stores whether it has a copy itself
   */
  constructor(world: World, site: string, stores: boolean, controller: MirrorController) {
    this.#world = world;
    this.#site = site;
    this.#stores = stores;
    this.#controller = controller;
    this.#buffer = world.memory.allocate(CHECKSUM_BLOCKS_MAX * BLOCK_BYTES);
  }

  close(): void {
    this.#world.memory.free(this.#buffer);
  }

  /**
   * The answers of all sites, this one's first.
   *
   * @param blocks `CHECKSUM_BLOCKS_MAX` at the most
   * @param isAsked whether a leg is worth asking
   */
  checksums(
    volume: VolumeId,
    lba: number,
    blocks: number,
    isAsked: (leg: Leg) => boolean,
  ): Promise<readonly SiteChecksums[]> {
    return this.#settled(volume, lba, blocks, async () => {
      const question = { volume, lba: asLba(lba), blocks, atLeast: this.#controller.pipeline.appended };
      const own = this.#stores ? [await this.#own(question)] : [];
      const answers = await Promise.all(this.#controller.legs.filter(isAsked).map((leg) => askLeg(leg, question)));
      return [...own, ...answers.flat()];
    });
  }

  /** Repeats `ask` until the extent was not written while it ran. */
  async #settled<T>(volume: VolumeId, lba: number, blocks: number, ask: () => Promise<T>): Promise<T> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      let touched = false;
      const observer = (write: AdmittedWrite) => {
        touched ||= write.volume === volume && write.lba < lba + blocks && write.lba + write.blocks > lba;
      };
      this.#controller.watch(observer);
      try {
        const answer = await ask();
        if (!touched) return answer;
      } finally {
        this.#controller.unwatch(observer);
      }
    }
    return this.#controller.quiesce(ask);
  }

  async #own(question: ChecksumQuestion): Promise<SiteChecksums> {
    const data = this.#buffer.subarray(0, question.blocks * BLOCK_BYTES);
    try {
      await this.#controller.pipeline.readStored(question.volume, question.lba, data);
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      return unknown(this.#site, error);
    }
    const checksums = new Uint32Array(question.blocks);
    this.#world.arithmetic.crc32cBlocks(data, checksums);
    return { site: this.#site, state: "stored", checksums: Array.from(checksums) };
  }
}

async function askLeg(leg: Leg, question: ChecksumQuestion): Promise<readonly SiteChecksums[]> {
  try {
    return await askChecksums((method, body, deadline) => leg.sender.call(method, body, deadline), question);
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    return leg.sites.map((site) => unknown(site, error));
  }
}

function unknown(site: string, { code, what }: OperatingError): SiteChecksums {
  return { site, state: "unknown", code, reason: what };
}
