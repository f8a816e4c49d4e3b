/** Content that says what it is: each sector is the same 16 bytes 32 times. Version 0 is a sector of zeros. */

export const SECTOR_BYTES = 512;

const STAMP_BYTES = 16;
const MAGIC = 0x53544d50;

export class Stamps {
  readonly #run: number;

  /** @param run tells this run's stamps from another's */
  constructor(run: number) {
    this.#run = run >>> 0;
  }

  write(into: Uint8Array, offset: number, sector: number, version: number): void {
    const view = new DataView(into.buffer, into.byteOffset + offset, SECTOR_BYTES);
    for (let at = 0; at < SECTOR_BYTES; at += STAMP_BYTES) {
      view.setUint32(at, MAGIC);
      view.setUint32(at + 4, this.#run);
      view.setUint32(at + 8, sector);
      view.setUint32(at + 12, version);
    }
  }

  /** @returns the version of the whole sector, or what is there instead */
  versionIn(data: Uint8Array, offset: number, sector: number): number | string {
    const view = new DataView(data.buffer, data.byteOffset + offset, SECTOR_BYTES);
    const first = stampAt(view, 0);
    for (let at = STAMP_BYTES; at < SECTOR_BYTES; at += STAMP_BYTES) {
      const other = stampAt(view, at);
      if (other.some((word, index) => word !== first[index])) return `a mix of ${first} and, at byte ${at}, ${other}`;
    }
    const [magic, run, address, version] = first;
    if (first.every((word) => word === 0)) return 0;
    if (magic !== MAGIC || run !== this.#run) return `foreign content (${first})`;
    if (address !== sector) return `the content of sector ${address}, version ${version}`;
    return version;
  }
}

function stampAt(view: DataView, at: number): readonly number[] {
  return [view.getUint32(at), view.getUint32(at + 4), view.getUint32(at + 8), view.getUint32(at + 12)];
}
