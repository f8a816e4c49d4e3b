/** Buffers that drives and accelerated arithmetic can use. */
export interface Memory {
  /**
   * Zeroed, page-aligned memory off the garbage-collected heap, for pools that live as long as their owner.
   * Lengths are rounded up to whole pages; the result has the length that was asked for.
   */
  allocate(bytes: number): Uint8Array;
  /** Gives back what `allocate` returned; no view of it may be used again. */
  free(buffer: Uint8Array): void;
}
