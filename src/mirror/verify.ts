/** Compares every site's copy of a volume, block by block, by checksums that each site makes from what it has stored. */

import type { VolumeId } from "../base/units.ts";
import { CHECKSUM_BLOCKS_MAX, type SiteChecksums } from "../pipeline/calls.ts";
import type { Leg } from "./leg.ts";
import type { Survey } from "./survey.ts";

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

const FIRST_DIFFERENCES_MAX = 16;

/** @param survey of the volume's sites */
export async function verifyVolume(
  survey: Survey,
  volume: VerifiedVolume,
  onProgress: (blocks: number) => void,
): Promise<VolumeVerdict> {
  const tally = new Tally();
  for (let at = 0; at < volume.blocks; at += CHECKSUM_BLOCKS_MAX) {
    const blocks = Math.min(CHECKSUM_BLOCKS_MAX, volume.blocks - at);
    tally.add(at, await survey.checksums(volume.id, at, blocks, (leg) => !tally.isLost(leg)));
    onProgress(at + blocks);
  }
  return { volume: volume.name, blocks: volume.blocks, reference: tally.reference, sites: tally.verdicts() };
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
