/**
 * What a volume holds after each command that had status GOOD, worked out from its CDB and data alone: SBC-4 once more,
 * apart from the target's own code. Commands that are not listed change nothing.
 */

import { assert } from "../../src/base/assert.ts";

export const BLOCK_BYTES = 512;

/** Blocks that a CDB names. */
export interface Extent {
  readonly lba: number;
  readonly blocks: number;
}

const UNMAP_HEADER_BYTES = 8;
const UNMAP_DESCRIPTOR_BYTES = 16;
const OVERWRITE_HEADER_BYTES = 4;

export class VolumeModel {
  readonly bytes: Uint8Array;

  constructor(blocks: number) {
    this.bytes = new Uint8Array(blocks * BLOCK_BYTES);
  }

  /** @returns what a READ sends; `undefined` of other commands */
  read(cdb: Uint8Array): Uint8Array | undefined {
    if (![0x08, 0x28, 0x88, 0xa8].includes(cdb[0])) return undefined;
    const { lba, blocks } = extentOf(cdb);
    return this.bytes.subarray(lba * BLOCK_BYTES, (lba + blocks) * BLOCK_BYTES);
  }

  /** @param data what was sent, as long as the command said that it would be */
  done(cdb: Uint8Array, data: Uint8Array): void {
    const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
    const extent = extentOf(cdb);
    switch (cdb[0]) {
      // WRITE (6) to (16), WRITE AND VERIFY (10) to (16)
      case 0x0a:
      case 0x2a:
      case 0x8a:
      case 0xaa:
      case 0x2e:
      case 0x8e:
      case 0xae:
        this.#write(extent, data);
        return;
      // WRITE ATOMIC (16)
      case 0x9c:
        this.#write({ lba: extent.lba, blocks: view.getUint16(12) }, data);
        return;
      // ORWRITE (16)
      case 0x8b: {
        const there = this.#blocks(wholeBlocks(extent, data));
        for (let at = 0; at < there.length; at++) there[at] |= data[at];
        return;
      }
      // COMPARE AND WRITE
      case 0x89: {
        const there = this.#blocks({ lba: extent.lba, blocks: cdb[13] });
        assert(Buffer.compare(there, data.subarray(0, there.length)) === 0, "what was not there compared equal");
        there.set(data.subarray(there.length, 2 * there.length));
        return;
      }
      // WRITE SAME (10), (16)
      case 0x41:
      case 0x93: {
        const zeros = cdb[0] === 0x93 && (cdb[1] & 0x01) !== 0;
        // 0 blocks are all to the end, since VPD page B0h has WSNZ 0.
        const blocks = extent.blocks || this.bytes.length / BLOCK_BYTES - extent.lba;
        this.#fill({ lba: extent.lba, blocks }, zeros ? ZEROS : data.subarray(0, BLOCK_BYTES));
        return;
      }
      // UNMAP
      case 0x42:
        this.#unmap(data.subarray(0, view.getUint16(7)));
        return;
      // FORMAT UNIT
      case 0x04:
        this.bytes.fill(0);
        return;
      // SANITIZE
      case 0x48:
        this.#sanitize(cdb[1] & 0x1f, data.subarray(0, view.getUint16(7)));
    }
  }

  #blocks({ lba, blocks }: Extent): Uint8Array {
    assert((lba + blocks) * BLOCK_BYTES <= this.bytes.length, `blocks ${lba}+${blocks} are beyond the volume's end`);
    return this.bytes.subarray(lba * BLOCK_BYTES, (lba + blocks) * BLOCK_BYTES);
  }

  #write(extent: Extent, data: Uint8Array): void {
    const there = this.#blocks(wholeBlocks(extent, data));
    there.set(data.subarray(0, there.length));
  }

  #fill(extent: Extent, block: Uint8Array): void {
    const there = this.#blocks(extent);
    for (let at = 0; at < there.length; at += BLOCK_BYTES) there.set(block, at);
  }

  #unmap(list: Uint8Array): void {
    if (list.length < UNMAP_HEADER_BYTES) return;
    const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
    const end = Math.min(list.length, UNMAP_HEADER_BYTES + view.getUint16(2));
    for (let at = UNMAP_HEADER_BYTES; at + UNMAP_DESCRIPTOR_BYTES <= end; at += UNMAP_DESCRIPTOR_BYTES) {
      const blocks = view.getUint32(at + 8);
      if (blocks > 0) this.#fill({ lba: Number(view.getBigUint64(at)), blocks }, ZEROS);
    }
  }

  #sanitize(serviceAction: number, list: Uint8Array): void {
    if (serviceAction === 0x02) this.bytes.fill(0);
    if (serviceAction !== 0x01) return;
    const pattern = list.subarray(OVERWRITE_HEADER_BYTES);
    // INVERT: every second pass writes the complement, and the last one is what stays.
    const inverted = (list[0] & 0x80) !== 0 && (list[0] & 0x1f) % 2 === 0;
    const block = Uint8Array.from({ length: BLOCK_BYTES }, (_, at) => pattern[at % pattern.length]);
    this.#fill({ lba: 0, blocks: this.bytes.length / BLOCK_BYTES }, inverted ? block.map((byte) => ~byte) : block);
  }
}

const ZEROS = new Uint8Array(BLOCK_BYTES);

/** A transfer that is shorter than its CDB says writes the blocks that came whole. */
function wholeBlocks({ lba, blocks }: Extent, data: Uint8Array): Extent {
  return { lba, blocks: Math.min(blocks, Math.floor(data.length / BLOCK_BYTES)) };
}

/** Where CDBs of 6, 10, 16 and 12 bytes have their LBA and number of blocks: SPC-4 section 4.2.5. */
function extentOf(cdb: Uint8Array): Extent {
  const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
  switch (cdb[0] >> 5) {
    case 0:
      return { lba: view.getUint32(0) & 0x1fffff, blocks: cdb[4] || 256 };
    case 4:
      return { lba: Number(view.getBigUint64(2)), blocks: view.getUint32(10) };
    case 5:
      return { lba: view.getUint32(2), blocks: view.getUint32(6) };
    default:
      return { lba: view.getUint32(2), blocks: view.getUint16(7) };
  }
}
