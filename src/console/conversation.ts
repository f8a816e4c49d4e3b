/**
 * What is said to and fro on one terminal, one thing at a time: a line that is asked for, text that is shown page by
 * page, a command that runs. What is typed meanwhile waits its turn, so that a script may be pasted as a whole.
 *
 * Nothing that was said by others reaches the terminal as a control character.
 */

import type { Millis } from "../base/units.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { type Display, LineEditor, type TerminalKind } from "./line-editor.ts";

/** Typed ahead and not read yet: enough for a pasted configuration. What comes on top of it is dropped, with a BEL. */
const TYPED_AHEAD_MAX = 256 * 1024;
/** Of a text that is pasted to be taken as a whole. */
const PASTE_BYTES_MAX = 1024 * 1024;

const BELL = "\x07";
const CTRL_C = 3;
const CTRL_D = 4;
const LINE_FEED = 10;
const RETURN = 13;
const MORE = "-- more: space for a page, Enter for a line, q to stop --";

/** How the terminal is, as far as anybody knows. The operator may say it better. */
export interface TerminalSettings {
  kind: TerminalKind;
  columns: number;
  /** 0 shows everything at once. */
  rows: number;
}

/** The conversation is over, at whatever point it was. */
export class ConversationEnded extends Error {
  override readonly name = "ConversationEnded";
}

export type LineAnswer =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "interrupt" }
  | { readonly kind: "end" };

/** Tab or `?` was pressed: the help may print, and put text into the line. */
export interface Assistance {
  readonly kind: "complete" | "help";
  readonly before: string;
  insert(text: string, inPlaceOf: number): void;
  /** Shows text above the line. */
  show(text: string): void;
  ring(): void;
}

export interface ConversationOptions {
  /** @returns a promise that resolves when the terminal takes more */
  write(bytes: Uint8Array): Promise<void>;
  readonly settings: TerminalSettings;
  readonly clock: Clock;
  /** Ends it when so long no key was pressed; never where it is not given. */
  readonly idleMax?: Millis;
  onIdle?(): void;
}

export class Conversation {
  readonly settings: TerminalSettings;
  readonly #options: ConversationOptions;
  readonly #editor: LineEditor;
  readonly #encoder = new TextEncoder();
  #typed: Uint8Array[] = [];
  /** Of the first of them, how much was read. */
  #typedAt = 0;
  #typedBytes = 0;
  /** Takes bytes now; there is none while a command runs. */
  #reader: ((byte: number) => void) | undefined;
  #fail: ((reason: Error) => void) | undefined;
  /** The line that is being edited is on the terminal. */
  #editing = false;
  /** Of the command that runs. */
  #abort: AbortController | undefined;
  #ended: ConversationEnded | undefined;
  #idle: Timer | undefined;
  #written: Promise<void> = Promise.resolve();

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.settings = options.settings;
    const { settings } = this;
    const display: Display = {
      get kind() {
        return settings.kind;
      },
      get columns() {
        return settings.columns;
      },
      write: (text) => this.#write(text),
    };
    this.#editor = new LineEditor(display);
    this.#watchIdle();
  }

  /** Takes what the terminal sent. */
  feed(bytes: Uint8Array): void {
    if (this.#ended !== undefined) return;
    this.#watchIdle();
    if (this.#reader === undefined && bytes.includes(CTRL_C)) {
      this.interrupt();
      return;
    }
    if (this.#typedBytes + bytes.length > TYPED_AHEAD_MAX) {
      this.#write(BELL);
      return;
    }
    this.#typed.push(bytes);
    this.#typedBytes += bytes.length;
    this.#pump();
  }

  /** As Ctrl-C: ends the command that runs or the line that is typed, and forgets what was typed ahead. */
  interrupt(): void {
    this.forgetTyped();
    if (this.#reader !== undefined) this.#reader(CTRL_C);
    else {
      this.#write("^C\r\n");
      this.#abort?.abort(new ConversationEnded("interrupted"));
    }
  }

  /** What was typed ahead is not read any more. */
  forgetTyped(): void {
    this.#typed = [];
    this.#typedAt = 0;
    this.#typedBytes = 0;
  }

  /** Whatever is waited for rejects with `ConversationEnded`. */
  end(reason: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = new ConversationEnded(reason);
    this.#idle?.cancel();
    this.#reader = undefined;
    this.#abort?.abort(this.#ended);
    this.#fail?.(this.#ended);
  }

  /** Shows text now, at the start of a line; `\n` ends a line. */
  say(text: string): void {
    this.#write(printable(text));
  }

  /** Shows text in the place of what this line has. */
  overwrite(text: string): void {
    const width = this.settings.columns - 1;
    this.#write(`\r${" ".repeat(width)}\r${printable(text.slice(0, width))}`);
  }

  /** As `say`, of what comes from elsewhere while something is typed. */
  notice(text: string): void {
    if (this.#ended !== undefined) return;
    if (this.#editing) this.#editor.hide();
    this.say(text);
    if (this.#editing) this.#editor.redraw();
  }

  async readLine(prompt: string, assist: (assistance: Assistance) => void): Promise<LineAnswer> {
    return this.#edit(prompt, {}, assist);
  }

  /** Puts a line where the up arrow finds it. */
  remember(line: string): void {
    this.#editor.remember(line);
  }

  /** A line that is neither shown nor remembered; undefined where it is given up. */
  async readSecret(prompt: string): Promise<string | undefined> {
    const answer = await this.#edit(prompt, { masked: true }, () => {});
    return answer.kind === "line" ? answer.text : undefined;
  }

  /** A line that is no command, such as a name; undefined where it is given up. */
  async readAnswer(prompt: string, assist: (assistance: Assistance) => void = () => {}): Promise<string | undefined> {
    const answer = await this.#edit(prompt, {}, assist);
    return answer.kind === "line" ? answer.text : undefined;
  }

  /** All that comes until Ctrl-D; undefined after Ctrl-C, or where it is too much. */
  async readPaste(): Promise<string | undefined> {
    const bytes: number[] = [];
    let tooLong = false;
    const end = await this.#read<number>((byte, done) => {
      if (byte === CTRL_C || byte === CTRL_D) return done(byte);
      // A dot for each line: what is pasted may have secrets in it, and is on its way through a slow line already.
      if (byte === RETURN || (byte === LINE_FEED && bytes.at(-1) !== RETURN)) this.#write(".");
      if (bytes.length < PASTE_BYTES_MAX) bytes.push(byte);
      else tooLong = true;
    });
    this.#write("\r\n");
    if (end === CTRL_C || tooLong) return undefined;
    return new TextDecoder().decode(Uint8Array.from(bytes)).replaceAll("\r\n", "\n").replaceAll("\r", "\n");
  }

  /** Shows text, page by page where it is longer than the terminal. */
  async print(text: string): Promise<void> {
    if (text === "") return;
    const lines = text.endsWith("\n") ? text.slice(0, -1).split("\n") : text.split("\n");
    let room = this.settings.rows === 0 ? Number.POSITIVE_INFINITY : Math.max(1, this.settings.rows - 1);
    for (const line of lines) {
      const rows = Math.max(1, Math.ceil(line.length / Math.max(1, this.settings.columns)));
      if (rows > room) {
        room = await this.#more();
        if (room === 0) return;
      }
      room -= rows;
      this.say(`${line}\n`);
      await this.#written;
      if (this.#ended !== undefined) throw this.#ended;
    }
  }

  /** @returns the key that is pressed, or undefined when none is within that time */
  async keyWithin(time: Millis): Promise<number | undefined> {
    let expire: (() => void) | undefined;
    const timer = this.#options.clock.after(time, () => expire?.());
    try {
      return await this.#read<number | undefined>(
        (byte, done) => done(byte),
        (done) => {
          expire = () => done(undefined);
        },
      );
    } finally {
      timer.cancel();
    }
  }

  /** Runs a command; Ctrl-C aborts its signal. Resolves with undefined when it was aborted so. */
  async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    if (this.#ended !== undefined) throw this.#ended;
    const abort = new AbortController();
    this.#abort = abort;
    try {
      return await work(abort.signal);
    } catch (error) {
      if (abort.signal.aborted && error === abort.signal.reason && this.#ended === undefined) return undefined;
      throw error;
    } finally {
      this.#abort = undefined;
      this.#watchIdle();
    }
  }

  /** Draws text over the same lines again and again, on a terminal that can. */
  draw(text: string, first: boolean): Promise<void> {
    const { rows, columns } = this.settings;
    const lines = text.split("\n").slice(0, rows === 0 ? undefined : rows - 1);
    const clipped = lines.map((line) => `${printable(line.slice(0, columns - 1))}\x1b[K`).join("\r\n");
    this.#write(`${first ? "\x1b[2J" : ""}\x1b[H${clipped}\x1b[J`);
    return this.#written;
  }

  async #more(): Promise<number> {
    this.#write(MORE.slice(0, this.settings.columns - 1));
    const room = await this.#read<number>((byte, done) => {
      if (byte === CTRL_C || byte === 0x71 || byte === 0x51) done(0);
      else if (byte === RETURN) done(1);
      else if (byte === 32) done(Math.max(1, this.settings.rows - 1));
    });
    this.#write(this.settings.kind === "vt100" ? "\r\x1b[K" : `\r${" ".repeat(MORE.length)}\r`);
    return room;
  }

  async #edit(
    prompt: string,
    options: { readonly masked?: boolean },
    assist: (assistance: Assistance) => void,
  ): Promise<LineAnswer> {
    const editor = this.#editor;
    try {
      return await this.#read<LineAnswer>(
        (byte, done) => {
          const event = editor.key(byte);
          if (event === undefined) return;
          if (!("before" in event)) {
            this.#editing = false;
            return done(event);
          }
          assist({
            ...event,
            insert: (text, inPlaceOf) => editor.insert(text, inPlaceOf),
            show: (text) => {
              this.#write("\r\n");
              this.say(text);
              editor.redraw();
            },
            ring: () => this.#write(BELL),
          });
        },
        () => {
          editor.begin(prompt, options);
          this.#editing = true;
        },
      );
    } finally {
      this.#editing = false;
    }
  }

  /** Gives bytes to `take`, one after the other, until it is done. */
  #read<T>(
    take: (byte: number, done: (value: T) => void) => void,
    begin: (done: (value: T) => void) => void = () => {},
  ): Promise<T> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise<T>((resolve, reject) => {
      const done = (value: T) => {
        this.#reader = undefined;
        this.#fail = undefined;
        resolve(value);
      };
      this.#fail = reject;
      this.#reader = (byte) => take(byte, done);
      begin(done);
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#reader !== undefined && this.#typed.length > 0) {
      const [first] = this.#typed;
      if (this.#typedAt === first.length) {
        this.#typed.shift();
        this.#typedAt = 0;
        continue;
      }
      this.#typedBytes--;
      this.#reader(first[this.#typedAt++]);
    }
  }

  #watchIdle(): void {
    const { idleMax, onIdle, clock } = this.#options;
    this.#idle?.cancel();
    if (idleMax === undefined || this.#ended !== undefined) return;
    this.#idle = clock.after(idleMax, () => {
      // A command that runs long is not idleness; its end begins the time anew.
      if (this.#abort === undefined || this.#reader !== undefined) onIdle?.();
    });
  }

  #write(text: string): void {
    this.#writeBytes(this.#encoder.encode(text));
  }

  #writeBytes(bytes: Uint8Array): void {
    if (this.#ended === undefined) this.#written = this.#options.write(bytes);
  }
}

/** Text as a terminal takes it: control characters of others do nothing. */
function printable(text: string): string {
  return Array.from(text, (character) => {
    if (character === "\n") return "\r\n";
    const code = character.charCodeAt(0);
    return code < 32 || (code >= 127 && code < 160) ? "?" : character;
  }).join("");
}
