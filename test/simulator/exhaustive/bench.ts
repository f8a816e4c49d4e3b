/** The arrays that the suite looks at: as small as they can be, made once for each level. */

import { BLOCK_BYTES, byteCount, lba } from "../../../src/base/units.ts";
import type { AssembleOptions } from "../../../src/raid/assemble.ts";
import { DiskArray, type GenerationMemory } from "../../../src/raid/disk-array.ts";
import { type Geometry, geometryOf } from "../../../src/raid/geometry.ts";
import { MEMBER_BLOCKS_MIN } from "../../../src/raid/member-layout.ts";
import { CrashMachine, type Image, type Order } from "./crash-drive.ts";
import { type Page, stampedPage, ZERO } from "./page.ts";

export const NAME = "main";
export const GROUP = "prod";
export const VOLUME = "v";
const CHUNK_BLOCKS = 2;
const STRIPES = 2;
/** Content of the volume before the first operation. */
const BASE_STAMP = 1000;

export interface Bench {
  readonly geometry: Geometry;
  readonly members: number;
  readonly volumeBlocks: number;
  /** Members, then a blank drive; closed and clean. The last drive is that of a journal, see `memoryOn`. */
  readonly start: Image;
  readonly content: readonly Page[];
}

/** Level 5 of 3+1, or level 1 of a pair: chunks of 8 KiB, a volume of two stripes. */
export function makeBench(level: 1 | 5): Bench {
  const members = level === 5 ? 4 : 2;
  const geometry = geometryOf(level, members, CHUNK_BLOCKS);
  const volumeBlocks = STRIPES * geometry.stripeBlocks;
  const blank = new Array<Page>(MEMBER_BLOCKS_MIN).fill(ZERO);
  const machine = new CrashMachine(new Array(members + 2).fill(blank), "first", "create");
  const drives = machine.drives.slice(0, members);
  const content = Array.from({ length: volumeBlocks }, (_, block) => stampedPage(BASE_STAMP, block));
  const make = async (): Promise<void> => {
    await DiskArray.create(machine.world, drives, {
      name: NAME,
      group: GROUP,
      level,
      chunkBytes: byteCount(CHUNK_BLOCKS * BLOCK_BYTES),
    });
    const array = await assemble(machine, drives);
    const volume = await array.createVolume(VOLUME, volumeBlocks);
    await volume.write(lba(0), bytesOf(content));
    await array.close();
  };
  machine.run(make());
  return { geometry, members, volumeBlocks, start: machine.image, content };
}

/** Assembles the array from those of a machine's drives. */
export function assemble(
  machine: CrashMachine,
  drives: CrashMachine["drives"],
  onEvent?: AssembleOptions["onEvent"],
): Promise<DiskArray> {
  return DiskArray.assemble(machine.world, drives, {
    name: NAME,
    group: GROUP,
    checksumCacheBytes: 1,
    checkpointBlocks: CHUNK_BLOCKS,
    memory: memoryOn(machine),
    onEvent,
  });
}

/** The drives that an array may be on. */
export function arrayDrives(machine: CrashMachine): CrashMachine["drives"] {
  return machine.drives.slice(0, -1);
}

/** What the journal of a site keeps for the array, on a drive that a power cut may leave in doubt as any other. */
function memoryOn(machine: CrashMachine): GenerationMemory {
  const drive = machine.drives[machine.drives.length - 1];
  return {
    known: () => new DataView(drive.pages[0].bytes.buffer, drive.pages[0].bytes.byteOffset).getFloat64(0),
    keep: async (_arrayUuid, generation) => {
      const block = new Uint8Array(BLOCK_BYTES);
      new DataView(block.buffer).setFloat64(0, generation);
      await drive.write(lba(0), block, { fua: true });
    },
  };
}

export function bytesOf(pages: readonly Page[]): Uint8Array {
  const bytes = new Uint8Array(pages.length * BLOCK_BYTES);
  for (const [i, page] of pages.entries()) bytes.set(page.bytes, i * BLOCK_BYTES);
  return bytes;
}

/** A machine with an image, for one life of an array; `life` counts the lives before. */
export function machineWith(image: Image, life: number, order: Order = "first"): CrashMachine {
  return new CrashMachine(image, order, `life ${life}`);
}
