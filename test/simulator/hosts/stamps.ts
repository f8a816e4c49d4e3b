/**
 * What hosts write: blocks that say which write they are of and where they belong. Every sector of 512 bytes holds the
 * stamp in all its words but the second, which holds the number of the sector on the LUN; so a tear, a mix of two
 * writes and a block in a wrong place all show. A block of zeros was never written, or was unmapped.
 */

const SECTOR_BYTES = 512;
const SECTOR_WORDS = SECTOR_BYTES / 4;
/** Stamps are spread over all 32 bits, so that the parity of two blocks is not the block of a third. */
const SPREAD = 0x9e3779b1;
/** SPREAD * GATHER is 1 modulo 2^32. */
const GATHER = 0x0e8b2f51;

export const ZEROS = 0;
/** The block is not of one write, or of one of another place. */
export const MIXED = -1;

/** Fills `into` with the blocks from `lba` on of the write with this stamp. `into` starts on a word. */
export function stamp(into: Uint8Array, lba: number, blockSize: number, number: number): void {
  const words = wordsOf(into);
  words.fill(Math.imul(number, SPREAD));
  let sector = (lba * blockSize) / SECTOR_BYTES;
  for (let at = 1; at < words.length; at += SECTOR_WORDS) words[at] = ++sector;
}

/** The words of a content; copied if it does not start on one. */
export function wordsOf(content: Uint8Array): Uint32Array {
  const bytes = content.byteOffset % 4 === 0 ? content : content.slice();
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
}

/**
 * @param at        where the block begins in `words`
 * @param wordCount words of a block
 * @param lba       where on the LUN the block was found
 * @returns the stamp of the write that it is of, ZEROS or MIXED
 */
export function stampOf(words: Uint32Array, at: number, wordCount: number, lba: number): number {
  const spread = words[at];
  const isStamped = spread !== 0;
  let sector = (lba * wordCount) / SECTOR_WORDS;
  for (let start = at; start < at + wordCount; start += SECTOR_WORDS) {
    if (words[start] !== spread || words[start + 1] !== (isStamped ? ++sector : 0)) return MIXED;
    const end = start + SECTOR_WORDS;
    for (let word = start + 2; word < end; word++) if (words[word] !== spread) return MIXED;
  }
  return gather(spread);
}

/** What is in a block that is MIXED, in words, sector by sector. */
export function describeMix(words: Uint32Array, at: number, wordCount: number, lba: number): string {
  const parts: string[] = [];
  const sectors = wordCount / SECTOR_WORDS;
  for (let index = 0; index < sectors; index++) {
    const part = describeSector(words.subarray(at + index * SECTOR_WORDS, at + (index + 1) * SECTOR_WORDS));
    const place = part.at === undefined || part.at === lba * sectors + index ? "" : ` of sector ${part.at}`;
    const last = parts.at(-1);
    const text = `${part.text}${place}`;
    if (last === undefined || !last.endsWith(`: ${text}`)) parts.push(`sector ${lba * sectors + index} on: ${text}`);
  }
  return parts.join("; ");
}

function describeSector(words: Uint32Array): { text: string; at?: number } {
  const [spread] = words;
  if (words.every((word) => word === 0)) return { text: "zeros" };
  const differs = words.findIndex((word, at) => at !== 1 && word !== spread);
  if (differs < 0) return { text: `stamp ${gather(spread)}`, at: words[1] - 1 };
  return { text: `stamp ${gather(spread)}, then from byte ${differs * 4} on stamp ${gather(words[differs])}` };
}

function gather(spread: number): number {
  return Math.imul(spread, GATHER) >>> 0;
}
