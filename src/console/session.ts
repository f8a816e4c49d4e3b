/**
 * What one operator does from login to logout: line after line in one of two modes. What goes wrong with a command is
 * told and changes nothing else; a bug ends the session's promise with it.
 */

import { OperatingError } from "../base/operating-error.ts";
import type { Candidate } from "../config/candidate.ts";
import type { KeyPath } from "../config/problem.ts";
import type { Appliance } from "./appliance.ts";
import { type ConsoleCommand, type Desk, renderError, UNNAMED } from "./command.ts";
import { newestText } from "./committed.ts";
import { assist } from "./completion.ts";
import { CONFIGURING } from "./configuring.ts";
import type { Conversation } from "./conversation.ts";
import { match } from "./grammar.ts";
import { OPERATIONAL } from "./operational.ts";
import { SETUP_OFFER } from "./setup.ts";
import { USER_COMMANDS } from "./user-commands.ts";
import type { Users } from "./users.ts";

export class Session {
  readonly #desk: Desk;
  #left = false;
  /** Of the newest revision, for completion outside of configuration mode. */
  #newest: Candidate | undefined;
  #revisions: readonly number[] = [];

  /** @param users where logins are asked for, those who may */
  constructor(conversation: Conversation, appliance: Appliance, user: string, users?: Users) {
    const operational = users === undefined ? OPERATIONAL : [...OPERATIONAL, ...USER_COMMANDS];
    this.#desk = {
      appliance,
      conversation,
      user,
      users,
      candidate: undefined,
      operational,
      operate: (line, signal) => execute(operational, line, this.#desk, signal),
      leave: () => {
        this.#left = true;
      },
    };
  }

  /** Resolves when the operator leaves; rejects with `ConversationEnded` where the conversation does before. */
  async run(): Promise<void> {
    const { conversation } = this.#desk;
    await this.#learn();
    if (this.#revisions.length === 0) conversation.say(SETUP_OFFER);
    while (!this.#left) {
      const answer = await conversation.readLine(this.#prompt(), (assistance) =>
        assist(
          this.#commands,
          {
            below: (path) => this.#below(path),
            revisions: this.#revisions,
            drives: (this.#desk.candidate ?? this.#newest)?.texts(["drives"]) ?? [],
            operational: this.#desk.operational,
          },
          assistance,
        ),
      );
      if (answer.kind !== "interrupt") await this.#execute(answer.kind === "end" ? "exit" : answer.text);
      await this.#learn();
    }
  }

  async #execute(line: string): Promise<void> {
    const { conversation } = this.#desk;
    try {
      let keep = true;
      await conversation.run(async (signal) => {
        try {
          await execute(this.#commands, line, this.#desk, signal);
        } catch (error) {
          // A line with a secret in it is not to be had again by the up arrow.
          keep = !(error instanceof OperatingError && error.code === "command.secret");
          throw error;
        } finally {
          if (keep) conversation.remember(line);
        }
      });
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      await conversation.print(renderError(error));
    }
  }

  get #commands(): readonly ConsoleCommand[] {
    return this.#desk.candidate === undefined ? this.#desk.operational : CONFIGURING;
  }

  #prompt(): string {
    const name = this.#newest?.value(["site", "name"]) ?? UNNAMED;
    return `${name}${this.#desk.candidate === undefined ? ">" : "#"} `;
  }

  #below(path: KeyPath): readonly string[] {
    return (this.#desk.candidate ?? this.#newest)?.names(path) ?? [];
  }

  /** What others may have changed meanwhile. */
  async #learn(): Promise<void> {
    try {
      this.#revisions = await this.#desk.appliance.revisions.numbers();
      this.#newest = await newestText(this.#desk);
    } catch (error) {
      // Without names there is less to complete; whoever needs the revision is told what is wrong with it.
      if (!(error instanceof OperatingError)) throw error;
      this.#newest = undefined;
    }
  }
}

async function execute(
  commands: readonly ConsoleCommand[],
  line: string,
  desk: Desk,
  signal: AbortSignal,
): Promise<void> {
  const found = match(commands, line);
  if (found !== undefined) await found.rule.run(desk, found.parameters, signal);
}
