/**
 * One line of input, edited where it stands. Bytes go in, text for the terminal comes out, and neither time nor a
 * terminal is needed for it.
 *
 * A dumb terminal gets nothing but printable characters, CR, LF, BS and BEL. Only what changed is drawn again, since at
 * 9600 baud a whole line takes a tenth of a second. A line that is longer than the terminal is wide scrolls sideways.
 * Every character is taken to be one column wide.
 */

/** A line longer than this is none; more is answered with BEL. */
const LINE_MAX = 4096;
const HISTORY_MAX = 100;
/** Columns of the line that are shown on even the narrowest terminal. */
const WINDOW_MIN = 10;
/** An escape sequence longer than this is noise. */
const ESCAPE_MAX = 12;
/** From here on a sequence that moves the cursor is shorter than so many backspaces. */
const BACKSPACES_MAX = 4;

export type TerminalKind = "dumb" | "vt100";

export interface Display {
  readonly kind: TerminalKind;
  readonly columns: number;
  write(text: string): void;
}

export type EditorEvent =
  | { readonly kind: "line"; readonly text: string }
  /** Ctrl-C. */
  | { readonly kind: "interrupt" }
  /** Ctrl-D on an empty line. */
  | { readonly kind: "end" }
  /** Tab or `?`, with what stands before the cursor. */
  | { readonly kind: "complete" | "help"; readonly before: string };

const BELL = "\x07";
const ERASE_TO_END = "\x1b[K";

const Key = {
  ctrlA: 1,
  ctrlB: 2,
  ctrlC: 3,
  ctrlD: 4,
  ctrlE: 5,
  ctrlF: 6,
  backspace: 8,
  tab: 9,
  lineFeed: 10,
  ctrlK: 11,
  ctrlL: 12,
  carriageReturn: 13,
  ctrlN: 14,
  ctrlP: 16,
  ctrlU: 21,
  ctrlW: 23,
  escape: 27,
  space: 32,
  delete: 127,
} as const;

/** What follows ESC, and the control character that does the same. */
const SEQUENCES: Readonly<Record<string, number | "delete">> = {
  "[A": Key.ctrlP,
  "[B": Key.ctrlN,
  "[C": Key.ctrlF,
  "[D": Key.ctrlB,
  "[H": Key.ctrlA,
  "[F": Key.ctrlE,
  "[1~": Key.ctrlA,
  "[4~": Key.ctrlE,
  "[7~": Key.ctrlA,
  "[8~": Key.ctrlE,
  "[3~": "delete",
  OA: Key.ctrlP,
  OB: Key.ctrlN,
  OC: Key.ctrlF,
  OD: Key.ctrlB,
  OH: Key.ctrlA,
  OF: Key.ctrlE,
};

export class LineEditor {
  readonly #display: Display;
  readonly #decoder = new TextDecoder();
  #prompt = "";
  /** Nothing of a masked line is shown or remembered, not even its length. */
  #masked = false;
  #cells: string[] = [];
  #cursor = 0;
  /** First cell that is shown. */
  #left = 0;
  /** What stands on the terminal after the prompt, and where its cursor is in that. */
  #shown: readonly string[] = [];
  #shownCursor = 0;
  readonly #history: string[] = [];
  #historyAt = 0;
  /** The line that was begun before going up in the history. */
  #draft = "";
  #escape: string | undefined;
  #afterReturn = false;

  constructor(display: Display) {
    this.#display = display;
  }

  /** Begins a line. */
  begin(prompt: string, options: { readonly masked?: boolean; readonly text?: string } = {}): void {
    this.#prompt = prompt;
    this.#masked = options.masked ?? false;
    this.#historyAt = this.#history.length;
    this.#replace(options.text ?? "");
    this.redraw();
  }

  /** Remembers a line for the up arrow, unless it is the last one again. */
  remember(line: string): void {
    if (line.trim() === "" || line === this.#history.at(-1)) return;
    this.#history.push(line);
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
  }

  /** Takes prompt and line off the terminal, for other text in their place; `redraw` brings them back. */
  hide(): void {
    const { kind } = this.#display;
    const width = this.#prompt.length + this.#shown.length;
    this.#display.write(kind === "vt100" ? `\r${ERASE_TO_END}` : `\r${" ".repeat(width)}\r`);
  }

  /** Draws prompt and line anew, at the start of an empty line of the terminal. */
  redraw(): void {
    this.#shown = [];
    this.#shownCursor = 0;
    this.#display.write(this.#prompt);
    this.#draw();
  }

  /** Puts text at the cursor, in the place of so many characters before it. */
  insert(text: string, inPlaceOf = 0): void {
    this.#cursor -= inPlaceOf;
    this.#cells.splice(this.#cursor, inPlaceOf);
    this.#insert(Array.from(text));
    this.#draw();
  }

  /** Takes one byte of input. */
  key(byte: number): EditorEvent | undefined {
    const afterReturn = this.#afterReturn;
    this.#afterReturn = byte === Key.carriageReturn;
    if (this.#escape !== undefined) return this.#escaped(byte);
    if (byte === Key.escape) {
      this.#escape = "";
      return undefined;
    }
    // CR LF is one end of a line, whoever sends it.
    if (byte === Key.lineFeed && afterReturn) return undefined;
    if (byte === Key.space || (byte > Key.space && byte !== Key.delete)) return this.#printable(byte);
    return this.#control(byte);
  }

  #printable(byte: number): EditorEvent | undefined {
    if (byte === 0x3f && !this.#masked) {
      const before = this.#before();
      // Inside quotes it is a character like any other.
      if ((before.match(/"/g)?.length ?? 0) % 2 === 0) return { kind: "help", before };
    }
    const text = this.#decoder.decode(Uint8Array.of(byte), { stream: true }).replace(/[\ufffd\u0080-\u009f]/g, "");
    if (text !== "") this.insert(text);
    return undefined;
  }

  #control(byte: number): EditorEvent | undefined {
    switch (byte) {
      case Key.carriageReturn:
      case Key.lineFeed:
        return this.#finish();
      case Key.ctrlC:
        this.#display.write("^C\r\n");
        return { kind: "interrupt" };
      case Key.ctrlD:
        if (this.#cells.length === 0) {
          this.#display.write("\r\n");
          return { kind: "end" };
        }
        this.#deleteForward();
        break;
      case Key.tab:
        return this.#masked ? undefined : { kind: "complete", before: this.#before() };
      case Key.ctrlA:
        this.#cursor = 0;
        break;
      case Key.ctrlE:
        this.#cursor = this.#cells.length;
        break;
      case Key.ctrlB:
        this.#cursor = Math.max(0, this.#cursor - 1);
        break;
      case Key.ctrlF:
        this.#cursor = Math.min(this.#cells.length, this.#cursor + 1);
        break;
      case Key.backspace:
      case Key.delete:
        if (this.#cursor === 0) this.#display.write(BELL);
        else this.#cells.splice(--this.#cursor, 1);
        break;
      case Key.ctrlK:
        this.#cells.length = this.#cursor;
        break;
      case Key.ctrlU:
        this.#cells.splice(0, this.#cursor);
        this.#cursor = 0;
        break;
      case Key.ctrlW:
        this.#deleteWord();
        break;
      case Key.ctrlP:
        this.#recall(this.#historyAt - 1);
        break;
      case Key.ctrlN:
        this.#recall(this.#historyAt + 1);
        break;
      case Key.ctrlL:
        this.#display.write(this.#display.kind === "vt100" ? "\x1b[H\x1b[2J" : "\r\n");
        this.redraw();
        return undefined;
    }
    this.#draw();
    return undefined;
  }

  #escaped(byte: number): EditorEvent | undefined {
    if (byte < Key.space && byte !== Key.escape) {
      // The escape key alone, and then another one.
      this.#escape = undefined;
      return this.#control(byte);
    }
    const sequence = (this.#escape ?? "") + String.fromCharCode(byte);
    const introducer = sequence[0];
    const isWhole =
      introducer === "[" ? sequence.length > 1 && byte >= 0x40 : introducer === "O" ? sequence.length > 1 : true;
    if (!isWhole && sequence.length < ESCAPE_MAX) {
      this.#escape = sequence;
      return undefined;
    }
    this.#escape = undefined;
    const meant = SEQUENCES[sequence];
    if (meant === "delete") {
      this.#deleteForward();
      this.#draw();
      return undefined;
    }
    return meant === undefined ? undefined : this.#control(meant);
  }

  #finish(): EditorEvent {
    this.#cursor = this.#cells.length;
    this.#draw();
    this.#display.write("\r\n");
    return { kind: "line", text: this.#cells.join("") };
  }

  #before(): string {
    return this.#cells.slice(0, this.#cursor).join("");
  }

  #insert(cells: readonly string[]): void {
    if (this.#cells.length + cells.length > LINE_MAX) {
      this.#display.write(BELL);
      return;
    }
    this.#cells.splice(this.#cursor, 0, ...cells);
    this.#cursor += cells.length;
  }

  #replace(text: string): void {
    this.#cells = Array.from(text);
    this.#cursor = this.#cells.length;
    this.#left = 0;
  }

  #deleteForward(): void {
    this.#cells.splice(this.#cursor, 1);
  }

  #deleteWord(): void {
    let start = this.#cursor;
    while (start > 0 && this.#cells[start - 1] === " ") start--;
    while (start > 0 && this.#cells[start - 1] !== " ") start--;
    this.#cells.splice(start, this.#cursor - start);
    this.#cursor = start;
  }

  #recall(at: number): void {
    if (this.#masked || at < 0 || at > this.#history.length) {
      this.#display.write(BELL);
      return;
    }
    if (this.#historyAt === this.#history.length) this.#draft = this.#cells.join("");
    this.#historyAt = at;
    this.#replace(this.#history[at] ?? this.#draft);
  }

  /** Makes the terminal show what the line is now. */
  #draw(): void {
    if (this.#masked) return;
    const next = this.#window();
    const cursor = this.#cursor - this.#left;
    let same = 0;
    while (same < next.length && next[same] === this.#shown[same]) same++;
    let output = "";
    if (same < next.length || same < this.#shown.length) {
      output += this.#move(same) + next.slice(same).join("");
      this.#shownCursor = next.length;
      const leftOver = this.#shown.length - next.length;
      if (leftOver > 0 && this.#display.kind === "vt100") output += ERASE_TO_END;
      else if (leftOver > 0) {
        output += " ".repeat(leftOver);
        this.#shownCursor += leftOver;
      }
    }
    this.#shown = next;
    output += this.#move(cursor);
    if (output !== "") this.#display.write(output);
  }

  /** The cells that fit, around the cursor; `<` and `>` stand where there are more. */
  #window(): readonly string[] {
    const width = Math.max(WINDOW_MIN, this.#display.columns - this.#prompt.length - 1);
    if (this.#cells.length < width) this.#left = 0;
    else if (this.#cursor <= this.#left || this.#cursor >= this.#left + width) {
      this.#left = Math.max(0, this.#cursor - Math.floor(width / 2));
    }
    const cells = this.#cells.slice(this.#left, this.#left + width);
    if (this.#left > 0) cells[0] = "<";
    if (this.#left + width < this.#cells.length) cells[width - 1] = ">";
    return cells;
  }

  /** Text that moves the terminal's cursor to a cell: back, or forward over what is shown. */
  #move(to: number): string {
    const back = this.#shownCursor - to;
    const text =
      back <= 0
        ? this.#shown.slice(this.#shownCursor, to).join("")
        : this.#display.kind === "vt100" && back > BACKSPACES_MAX
          ? `\x1b[${back}D`
          : "\b".repeat(back);
    this.#shownCursor = to;
    return text;
  }
}
