/**
 * Finds breaks in what a terminal sends with PARMRK set, termios(3): a break is 255 0 0, any byte that came damaged is
 * 255 0 and that byte, and a byte of 255 comes twice.
 */

const MARK = 0xff;

export class BreakMarks {
  #state: "plain" | "marked" | "damaged" = "plain";

  /** @returns the bytes that were sent, without damaged ones, and how many breaks were among them */
  take(bytes: Uint8Array): { readonly data: Uint8Array; readonly breaks: number } {
    const data: number[] = [];
    let breaks = 0;
    for (const byte of bytes) {
      switch (this.#state) {
        case "plain":
          if (byte === MARK) this.#state = "marked";
          else data.push(byte);
          break;
        case "marked":
          if (byte === 0) {
            this.#state = "damaged";
            break;
          }
          data.push(MARK);
          // Not doubled where it should be: both bytes are taken as they are.
          if (byte !== MARK) data.push(byte);
          this.#state = "plain";
          break;
        case "damaged":
          if (byte === 0) breaks++;
          this.#state = "plain";
      }
    }
    return { data: Uint8Array.from(data), breaks };
  }
}
