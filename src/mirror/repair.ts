/**
 * Finds the blocks of a volume that a site can't read from its array, and writes them again from a site that can: as
 * writes in the order of all others, so that every site stores them anew.
 *
 * Blocks that sites can read, but have differently, it leaves alone, whether another site can read them or not: nobody
 * here knows which is right.
 */

import { isOperatingError } from "../base/operating-error.ts";
import { lba as asLba } from "../base/units.ts";
import { CHECKSUM_BLOCKS_MAX, type SiteChecksums } from "../pipeline/calls.ts";
import type { MirrorController } from "./mirror-controller.ts";
import type { Survey } from "./survey.ts";
import type { VerifiedVolume } from "./verify.ts";

const UNREADABLE = "raid.unreadable";
const NO_SOURCE = "mirror.no-source";
/** Who did not answer where no site in step could be asked for a block. */
const NOBODY = "every other site";

export interface VolumeRepair {
  readonly volume: string;
  readonly rewritten: BlockList;
  /** What no site can read. */
  readonly lost: BlockList;
  /** What one site can't read, and others have differently. */
  readonly different: BlockList;
  /** Sites whose copies could not be looked at, and why. */
  readonly unknown: readonly { readonly site: string; readonly reason: string }[];
}

/** How many blocks of 4 KiB, and the addresses of the first 16. */
export interface BlockList {
  readonly blocks: number;
  readonly first: readonly number[];
}

const FIRST_MAX = 16;

/** Rejects where the controller stops serving. */
export async function repairVolume(
  survey: Survey,
  controller: MirrorController,
  volume: VerifiedVolume,
  onProgress: (blocks: number) => void,
): Promise<VolumeRepair> {
  const rewritten = new Tally();
  const lost = new Tally();
  const different = new Tally();
  const unknown = new Map<string, string>();

  const rewrite = async (block: number) => {
    try {
      await controller.rewrite(volume.id, asLba(block));
      rewritten.add(block);
    } catch (error) {
      if (isOperatingError(error, UNREADABLE)) lost.add(block);
      else if (isOperatingError(error, NO_SOURCE)) unknown.set(NOBODY, error.what);
      else throw error;
    }
  };

  /** Asks for ever smaller parts of what a site can't read. */
  const look = async (at: number, blocks: number): Promise<void> => {
    const answers = await survey.checksums(
      volume.id,
      at,
      blocks,
      (leg) => !leg.sites.every((site) => unknown.has(site)),
    );
    for (const answer of answers) if (isBeyondAsking(answer)) unknown.set(answer.site, answer.reason);
    if (!answers.some(isUnreadable)) return;
    if (blocks === 1) return differ(answers) ? different.add(at) : rewrite(at);
    const half = Math.floor(blocks / 2);
    await look(at, half);
    await look(at + half, blocks - half);
  };

  for (let at = 0; at < volume.blocks; at += CHECKSUM_BLOCKS_MAX) {
    const blocks = Math.min(CHECKSUM_BLOCKS_MAX, volume.blocks - at);
    await look(at, blocks);
    onProgress(at + blocks);
  }
  const sites = Array.from(unknown, ([site, reason]) => ({ site, reason }));
  return { volume: volume.name, rewritten, lost, different, unknown: sites };
}

class Tally implements BlockList {
  blocks = 0;
  readonly first: number[] = [];

  add(block: number): void {
    this.blocks++;
    if (this.first.length < FIRST_MAX) this.first.push(block);
  }
}

/** Whether sites that can read the block have it differently. */
function differ(answers: readonly SiteChecksums[]): boolean {
  const [first, ...others] = answers.flatMap((answer) => (answer.state === "stored" ? answer.checksums : []));
  return others.some((checksum) => checksum !== first);
}

type Unknown = Extract<SiteChecksums, { readonly state: "unknown" }>;

function isUnreadable(answer: SiteChecksums): answer is Unknown {
  return answer.state === "unknown" && answer.code === UNREADABLE;
}

/** Whether the site said nothing of its blocks. */
function isBeyondAsking(answer: SiteChecksums): answer is Unknown {
  return answer.state === "unknown" && answer.code !== UNREADABLE;
}
