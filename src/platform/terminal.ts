/** A terminal that people sit at: that which the program was started from, or a serial line. */

export const SPEEDS = [9600, 19200, 38400, 57600, 115200] as const;
/** In baud. */
export type Speed = (typeof SPEEDS)[number];

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** None of these may throw. */
export interface TerminalHandlers {
  /** Keys as they come: nothing is echoed, gathered into lines, or taken for a signal. The bytes are the receiver's. */
  onData(bytes: Uint8Array): void;
  /** The line was held in its break state: somebody wants attention, often at another speed. */
  onBreak(): void;
  /** Nobody is there any more: the line was hung up, the adapter pulled out. Called once, and nothing follows it. */
  onHangUp(): void;
  /** It may have another size now. */
  onResize(): void;
}

export interface Terminal {
  /** For messages, such as `/dev/ttyS0`. */
  readonly name: string;
  /** Undefined where it can't be known, as on a serial line. */
  size(): TerminalSize | undefined;
  /**
   * Takes all of it. Resolves when it is on its way, or can't be any more; whoever writes much waits for that. A line
   * that takes nothing for very long is hung up.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Of what is written from now on. */
  setSpeed(speed: Speed): void;
  /** Leaves it as it was found. What is on its way may be lost. */
  close(): void;
}

export interface Terminals {
  /**
   * @param path of a device; undefined is that which the program was started from
   * @param speed undefined leaves it as it is
   * Throws `terminal.none`, `terminal.missing`, `terminal.busy`, or `terminal.unusable` where the device is no terminal.
   */
  open(path: string | undefined, speed: Speed | undefined, handlers: TerminalHandlers): Terminal;
}
