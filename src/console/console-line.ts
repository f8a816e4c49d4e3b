/**
 * The console on one terminal. That which the program was started from has one session, as the user who started it;
 * a serial line asks who is there, time after time, and is opened again when it was hung up.
 *
 * A break on a serial line interrupts what runs; where nobody is logged in it changes the speed, as whoever sees nothing
 * but noise expects.
 */

import { OperatingError } from "../base/operating-error.ts";
import { type Millis, millis } from "../base/units.ts";
import { sleep } from "../platform/clock.ts";
import { SPEEDS, type Speed, type Terminal, type Terminals } from "../platform/terminal.ts";
import type { Appliance } from "./appliance.ts";
import { renderError } from "./command.ts";
import { Conversation, ConversationEnded } from "./conversation.ts";
import type { TerminalKind } from "./line-editor.ts";
import type { Login } from "./login.ts";
import { Session } from "./session.ts";
import type { Users } from "./users.ts";

/** How long a login may be left alone. */
export const IDLE_MAX = millis(10 * 60_000);
/** A line that was pulled out is looked for again so often. */
const REOPEN_AFTER = millis(2000);
/** After something is wrong that a login can't mend; so that the line is not flooded with it. */
const TROUBLE_PAUSE = millis(10_000);

const SIZE_DEFAULT = { columns: 80, rows: 24 };

export type Access =
  /** Whoever logs in. */
  | { readonly kind: "login"; readonly login: Login; readonly users: Users }
  /** This user, who has shown elsewhere who that is. */
  | { readonly kind: "user"; readonly name: string };

export interface ConsoleLineOptions {
  readonly terminals: Terminals;
  /** Undefined: the terminal that the program was started from. */
  readonly path?: string;
  readonly speed?: Speed;
  readonly kind: TerminalKind;
  readonly access: Access;
  /** Is described before each login or session. */
  readonly appliance: Appliance;
}

export class ConsoleLine {
  readonly #options: ConsoleLineOptions;
  readonly #closing = new AbortController();
  #terminal: Terminal | undefined;
  #conversation: Conversation | undefined;
  #isLoggedIn = false;
  #speed: Speed | undefined;

  constructor(options: ConsoleLineOptions) {
    this.#options = options;
    this.#speed = options.speed;
  }

  /**
   * Resolves when the session on the program's own terminal is over, or after `close`, with whether the operator left it
   * and so is still there. Rejects as `Terminals.open` throws where the terminal can't be had in the first place.
   */
  async serve(): Promise<"left" | "gone"> {
    this.#open();
    while (!this.#closing.signal.aborted) {
      if (this.#terminal === undefined) {
        await this.#pause(REOPEN_AFTER);
        this.#reopen();
      } else {
        await this.#converse(this.#terminal);
        if (this.#options.path === undefined) break;
      }
    }
    const end = this.#terminal === undefined ? "gone" : "left";
    this.close();
    return end;
  }

  /** Tells whoever is logged in. */
  notice(text: string): void {
    if (this.#isLoggedIn) this.#conversation?.notice(text);
  }

  /** Leaves the terminal as it was found. */
  close(): void {
    this.#closing.abort();
    this.#conversation?.end("the console is closed");
    this.#terminal?.close();
    this.#terminal = undefined;
  }

  /** One login, or one session, until it is over for whatever reason. */
  async #converse(terminal: Terminal): Promise<void> {
    const { access, appliance, kind } = this.#options;
    const conversation = new Conversation({
      write: (bytes) => terminal.write(bytes),
      settings: { kind, ...(terminal.size() ?? SIZE_DEFAULT) },
      clock: appliance.clock,
      idleMax: access.kind === "login" ? IDLE_MAX : undefined,
      onIdle: () => {
        if (this.#isLoggedIn) conversation.notice("\nLogged out: no key was pressed for 10 min.\n");
        conversation.end("idle");
      },
    });
    this.#conversation = conversation;
    try {
      conversation.say(`\n${await appliance.describe()}`);
      const user = access.kind === "login" ? await access.login.ask(conversation) : access.name;
      const users = access.kind === "login" ? access.users : undefined;
      this.#isLoggedIn = true;
      conversation.say("Type help for the commands; ? tells what may follow.\n");
      await new Session(conversation, appliance, user, users).run();
    } catch (error) {
      if (error instanceof OperatingError) {
        conversation.say(renderError(error));
        await this.#pause(TROUBLE_PAUSE);
      } else if (!(error instanceof ConversationEnded)) throw error;
    } finally {
      conversation.end("over");
      this.#isLoggedIn = false;
      this.#conversation = undefined;
    }
    // Whoever comes next finds the line as it was meant to be.
    if (this.#speed !== this.#options.speed && this.#options.speed !== undefined) this.#setSpeed(this.#options.speed);
  }

  #open(): void {
    const { terminals, path, speed } = this.#options;
    this.#terminal = terminals.open(path, speed, {
      onData: (bytes) => this.#conversation?.feed(bytes),
      onBreak: () => this.#break(),
      onHangUp: () => {
        this.#terminal = undefined;
        this.#conversation?.end("hung up");
      },
      onResize: () => {
        const size = this.#terminal?.size();
        if (size !== undefined && this.#conversation !== undefined) Object.assign(this.#conversation.settings, size);
      },
    });
  }

  /** Where it is still away, there will be another time. */
  #reopen(): void {
    if (this.#closing.signal.aborted) return;
    try {
      this.#open();
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
    }
  }

  #break(): void {
    if (!this.#isLoggedIn && this.#speed !== undefined) {
      this.#setSpeed(SPEEDS[(SPEEDS.indexOf(this.#speed) + 1) % SPEEDS.length]);
    }
    this.#conversation?.interrupt();
  }

  #setSpeed(speed: Speed): void {
    this.#speed = speed;
    this.#terminal?.setSpeed(speed);
  }

  async #pause(time: Millis): Promise<void> {
    const { signal } = this.#closing;
    await sleep(this.#options.appliance.clock, time, signal).catch((error) => {
      if (!signal.aborted) throw error;
    });
  }
}
