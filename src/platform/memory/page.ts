/** One block's content on a simulated drive. */

import { BLOCK_BYTES } from "../../base/units.ts";

export const SECTOR_BYTES = 512;
export const SECTORS = BLOCK_BYTES / SECTOR_BYTES;

/** Never changed once it is one. Absent: zeros, which most of a drive is. */
export type Page = Uint8Array | undefined;

export const ZEROS = new Uint8Array(BLOCK_BYTES);

/** Copies whole blocks into pages. */
export function pagesOf(bytes: Uint8Array): Page[] {
  const pages = new Array<Page>(bytes.length / BLOCK_BYTES);
  for (let index = 0; index < pages.length; index++) {
    const at = index * BLOCK_BYTES;
    // a Buffer's own slice would not copy
    pages[index] = isZero(bytes, at) ? undefined : Uint8Array.prototype.slice.call(bytes, at, at + BLOCK_BYTES);
  }
  return pages;
}

/** Whether the bytes are the pages' content. */
export function holds(bytes: Uint8Array, pages: readonly Page[]): boolean {
  const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return pages.every((page, index) => {
    const at = index * BLOCK_BYTES;
    return content.compare(page ?? ZEROS, 0, BLOCK_BYTES, at, at + BLOCK_BYTES) === 0;
  });
}

export function samePage(a: Page, b: Page): boolean {
  return a === b || Buffer.compare(a ?? ZEROS, b ?? ZEROS) === 0;
}

/** The sectors of `over` whose bit is set, the others of `under`. */
export function mixPages(under: Page, over: Page, sectors: number): Page {
  if (sectors === 0) return under;
  if (sectors === (1 << SECTORS) - 1) return over;
  const mixed = new Uint8Array(under ?? ZEROS);
  for (let sector = 0; sector < SECTORS; sector++) {
    if ((sectors & (1 << sector)) === 0) continue;
    const at = sector * SECTOR_BYTES;
    mixed.set((over ?? ZEROS).subarray(at, at + SECTOR_BYTES), at);
  }
  return mixed;
}

function isZero(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== 0 || bytes[at + BLOCK_BYTES - 1] !== 0) return false;
  return Buffer.compare(bytes.subarray(at, at + BLOCK_BYTES), ZEROS) === 0;
}
