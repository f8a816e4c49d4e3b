/** Blocks as words of 32 bits, since byte by byte takes more than twice as long. They lie in pages, so they are aligned. */

function wordsOf(blocks: Uint8Array): Uint32Array {
  return new Uint32Array(blocks.buffer, blocks.byteOffset, blocks.length / 4);
}

/** @returns the first byte in which they differ, or -1 */
export function differsAt(a: Uint8Array, b: Uint8Array): number {
  const words = wordsOf(a);
  const others = wordsOf(b);
  const { length } = words;
  let word = 0;
  while (word < length && words[word] === others[word]) word++;
  if (word === length) return -1;
  let at = 4 * word;
  while (a[at] === b[at]) at++;
  return at;
}

/** Sets in `into` what is set in `from`. */
export function setBits(into: Uint8Array, from: Uint8Array): void {
  const words = wordsOf(into);
  const others = wordsOf(from);
  for (let word = 0; word < words.length; word++) words[word] |= others[word];
}
