/**
 * Compares every site's copy of a volume, block by block, by checksums that each site makes from what it has stored.
 *
 * Hosts go on writing meanwhile. An extent that was written while it was compared is compared again; one that never
 * comes to rest is compared while host writes wait.
 */

import { OperatingError } from "../base/operating-error.ts";
import { lba as asLba, BLOCK_BYTES, type VolumeId } from "../base/units.ts";
import { askChecksums, CHECKSUM_BLOCKS_MAX, type ChecksumQuestion, type SiteChecksums } from "../pipeline/calls.ts";
import type { World } from "../platform/world.ts";
import type { AdmittedWrite } from "./admission.ts";
import type { Leg } from "./leg.ts";
import type { MirrorController } from "./mirror-controller.ts";

export interface VerifiedVolume {
  readonly id: VolumeId;
  readonly name: string;
  /** Size in blocks of 4 KiB. */
  readonly blocks: number;
}

/** What was found of one site's copy. */
export type SiteVerdict =
  | { readonly site: string; readonly verdict: "identical" }
  /** `first` lists the first differing blocks, by their address in blocks of 4 KiB. */
  | { readonly site: string; readonly verdict: "different"; readonly blocks: number; readonly first: readonly number[] }
  | { readonly site: string; readonly verdict: "diskless" }
  | { readonly site: string; readonly verdict: "unknown"; readonly reason: string };

export interface VolumeVerdict {
  readonly volume: string;
  readonly blocks: number;
  /** The site that the others were compared with; undefined where none could be read. */
  readonly reference: string | undefined;
  readonly sites: readonly SiteVerdict[];
}

/** Attempts at an extent that hosts keep writing, before their writes are made to wait. */
const ATTEMPTS_MAX = 4;
const FIRST_DIFFERENCES_MAX = 16;

export async function verifyVolume(
  world: World,
  site: string,
  stores: boolean,
  controller: MirrorController,
  volume: VerifiedVolume,
  onProgress: (blocks: number) => void,
): Promise<VolumeVerdict> {
  const tally = new Tally();
  const buffer = world.memory.allocate(CHECKSUM_BLOCKS_MAX * BLOCK_BYTES);
  try {
    for (let at = 0; at < volume.blocks; at += CHECKSUM_BLOCKS_MAX) {
      const blocks = Math.min(CHECKSUM_BLOCKS_MAX, volume.blocks - at);
      const data = buffer.subarray(0, blocks * BLOCK_BYTES);
      const ask = async () => {
        const question = { volume: volume.id, lba: asLba(at), blocks, atLeast: controller.pipeline.appended };
        const own = stores ? [await ownChecksums(world, site, controller, question, data)] : [];
        const legs = controller.legs.filter((leg) => !tally.isLost(leg));
        const answers = await Promise.all(legs.map((leg) => legChecksums(leg, question)));
        return [...own, ...answers.flat()];
      };
      tally.add(at, await settled(controller, volume.id, at, blocks, ask));
      onProgress(at + blocks);
    }
  } finally {
    world.memory.free(buffer);
  }
  return { volume: volume.name, blocks: volume.blocks, reference: tally.reference, sites: tally.verdicts() };
}

/** Repeats `ask` until the extent was not written while it ran. */
async function settled<T>(
  controller: MirrorController,
  volume: VolumeId,
  lba: number,
  blocks: number,
  ask: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    let touched = false;
    const observer = (write: AdmittedWrite) => {
      touched ||= write.volume === volume && write.lba < lba + blocks && write.lba + write.blocks > lba;
    };
    controller.watch(observer);
    try {
      const answer = await ask();
      if (!touched) return answer;
    } finally {
      controller.unwatch(observer);
    }
  }
  return controller.quiesce(ask);
}

async function ownChecksums(
  world: World,
  site: string,
  controller: MirrorController,
  question: ChecksumQuestion,
  data: Uint8Array,
): Promise<SiteChecksums> {
  try {
    await controller.pipeline.readStored(question.volume, question.lba, data);
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    return { site, state: "unknown", reason: error.what };
  }
  const checksums = new Uint32Array(question.blocks);
  world.arithmetic.crc32cBlocks(data, checksums);
  return { site, state: "stored", checksums: Array.from(checksums) };
}

async function legChecksums(leg: Leg, question: ChecksumQuestion): Promise<readonly SiteChecksums[]> {
  try {
    return await askChecksums((method, body, deadline) => leg.sender.call(method, body, deadline), question);
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    return leg.sites.map((site) => ({ site, state: "unknown" as const, reason: error.what }));
  }
}

interface Found {
  readonly state: "stored" | "diskless";
  different: number;
  readonly first: number[];
}

/** What all extents so far have shown of each site. */
class Tally {
  reference: string | undefined;
  readonly #found = new Map<string, Found>();
  readonly #unknown = new Map<string, string>();

  /** Whether asking the leg again can't bring anything: each of its sites is unknown, or has nothing to compare. */
  isLost(leg: Leg): boolean {
    const useful = (site: string) => !this.#unknown.has(site) && this.#found.get(site)?.state !== "diskless";
    return leg.sites.some((site) => this.#unknown.has(site)) && !leg.sites.some(useful);
  }

  add(lba: number, answers: readonly SiteChecksums[]): void {
    for (const answer of answers) {
      if (answer.state === "unknown") this.#unknown.set(answer.site, answer.reason);
    }
    this.reference ??= answers.find((answer) => answer.state === "stored")?.site;
    const reference = answers.find((answer) => answer.site === this.reference);
    for (const answer of answers) {
      if (answer.state === "unknown") continue;
      const found = this.#foundAt(answer.site, answer.state);
      if (answer.state === "diskless" || answer.site === this.reference) continue;
      if (reference?.state !== "stored") this.#unknown.set(answer.site, "the reference site could not be read");
      else compare(found, lba, reference.checksums, answer.checksums);
    }
  }

  verdicts(): readonly SiteVerdict[] {
    const sites = new Set([...this.#found.keys(), ...this.#unknown.keys()]);
    return Array.from(sites, (site): SiteVerdict => {
      const found = this.#found.get(site);
      const reason = this.#unknown.get(site);
      if (found !== undefined && found.different > 0) {
        return { site, verdict: "different", blocks: found.different, first: found.first };
      }
      if (reason !== undefined || found === undefined)
        return { site, verdict: "unknown", reason: reason ?? "not asked" };
      return { site, verdict: found.state === "diskless" ? "diskless" : "identical" };
    });
  }

  #foundAt(site: string, state: Found["state"]): Found {
    let found = this.#found.get(site);
    if (found === undefined) {
      found = { state, different: 0, first: [] };
      this.#found.set(site, found);
    }
    return found;
  }
}

function compare(found: Found, lba: number, reference: readonly number[], checksums: readonly number[]): void {
  for (let block = 0; block < reference.length; block++) {
    if (reference[block] === checksums[block]) continue;
    found.different++;
    if (found.first.length < FIRST_DIFFERENCES_MAX) found.first.push(lba + block);
  }
}
