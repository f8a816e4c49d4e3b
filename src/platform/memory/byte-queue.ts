/** Bytes that wait, in the pieces in which they came. */
export class ByteQueue {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps the piece itself. */
  push(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  /** Takes a part of the first piece: `size` bytes, or all of it where it has fewer. */
  takePart(size: number): Uint8Array {
    const first = this.#pieces[0];
    const part = first.subarray(0, size);
    if (part.length === first.length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(size);
    this.#bytes -= part.length;
    return part;
  }

  /** Takes the first piece, and with it as many of the next ones as do not exceed `most` bytes together. */
  takeJoined(most: number): Uint8Array {
    let length = this.#pieces[0].length;
    let count = 1;
    while (count < this.#pieces.length && length + this.#pieces[count].length <= most) {
      length += this.#pieces[count++].length;
    }
    const taken = this.#pieces.splice(0, count);
    this.#bytes -= length;
    if (count === 1) return taken[0];
    const joined = new Uint8Array(length);
    let at = 0;
    for (const piece of taken) {
      joined.set(piece, at);
      at += piece.length;
    }
    return joined;
  }

  clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
  }
}
