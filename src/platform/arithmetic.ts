/** Checksums and parity. Buffers of `Memory` take the fast path; any others work too. */
export interface Arithmetic {
  /** As `crc32c` of src/base/crc32c.ts. */
  crc32c(bytes: Uint8Array, seed?: number, start?: number, end?: number): number;
  /** The CRC32C of each 4 KiB block of `data`, into `into[0..]`. */
  crc32cBlocks(data: Uint8Array, into: Uint32Array): void;
  /** `into` becomes the exclusive or of the sources (two or more, all of one length). `into` is none of them. */
  xor(sources: readonly Uint8Array[], into: Uint8Array): void;
}
