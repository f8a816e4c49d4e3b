/**
 * Blocks of 4 KiB that are never changed once they are here. Equal content is one object, so that two images of a
 * drive can be told apart by the numbers of their pages.
 */

import { BLOCK_BYTES } from "../../../src/base/units.ts";

const SECTOR_BYTES = 512;

export interface Page {
  readonly id: number;
  readonly bytes: Uint8Array;
}

const pages = new Map<bigint, Page>();

/** The page that has this content, which is copied where it is new. */
export function pageOf(content: Uint8Array): Page {
  const hash = Bun.hash.wyhash(content);
  let page = pages.get(hash);
  if (page === undefined) {
    page = { id: pages.size, bytes: content.slice() };
    pages.set(hash, page);
  }
  return page;
}

export const ZERO = pageOf(new Uint8Array(BLOCK_BYTES));

/** A page whose words say which write it is from and which block it is. */
export function stampedPage(stamp: number, block: number): Page {
  const words = new Uint32Array(BLOCK_BYTES / 4);
  for (let i = 0; i < words.length; i++) {
    words[i] = Math.imul(stamp + 1, 0x9e3779b1) ^ Math.imul(block + 1, 0x85ebca6b) ^ Math.imul(i + 1, 0xc2b2ae35);
  }
  return pageOf(new Uint8Array(words.buffer));
}

/** What a write of `over` leaves that only its first sector reached. */
export function tornPage(under: Page, over: Page): Page {
  const torn = under.bytes.slice();
  torn.set(over.bytes.subarray(0, SECTOR_BYTES));
  return pageOf(torn);
}
