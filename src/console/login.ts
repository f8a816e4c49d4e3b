/** Who is there? Every wrong answer makes the next one wait longer, on every line of this console: see `Guesses`. */

import { type Clock, sleep } from "../platform/clock.ts";
import { renderError } from "./command.ts";
import type { Conversation } from "./conversation.ts";
import { Guesses } from "./guesses.ts";
import { FIRST_USER, isRefusedChoice, type Users } from "./users.ts";

export class Login {
  readonly #guesses: Guesses;

  constructor(
    private readonly users: Users,
    private readonly clock: Clock,
    /** Is told of every login and refusal, by name; never a password. */
    private readonly onEvent: (text: string) => void = () => {},
  ) {
    this.#guesses = new Guesses(users, clock);
  }

  /** @returns the user who logged in; rejects with `ConversationEnded`, or with `users.damaged` */
  async ask(conversation: Conversation): Promise<string> {
    if ((await this.users.names()).length === 0) {
      conversation.say(`\nNobody has a password here yet. Choose one for ${FIRST_USER}; it is not shown.\n`);
      await choosePassword(conversation, this.users, FIRST_USER, true);
      this.onEvent(`${FIRST_USER} chose the first password`);
      return FIRST_USER;
    }
    for (;;) {
      conversation.say("\n");
      const name = (await conversation.readAnswer("login: "))?.trim();
      if (name === undefined || name === "") continue;
      const password = await conversation.readSecret("password: ");
      if (password === undefined) continue;
      if (await this.#verify(conversation, name, password)) {
        this.onEvent(`${name} logged in`);
        return name;
      }
      this.onEvent(`a login as ${JSON.stringify(name.slice(0, 64))} was refused`);
      conversation.say("That is not right.\n");
    }
  }

  async #verify(conversation: Conversation, name: string, password: string): Promise<boolean> {
    const wait = this.#guesses.begin();
    if (wait >= 1000) conversation.say(`Wait ${Math.ceil(wait / 1000)} s: there were wrong answers before.\n`);
    const isRight = await conversation.run(async (signal) => {
      if (wait > 0) await sleep(this.clock, wait, signal);
      return this.users.verify(name, password);
    });
    if (isRight === true) this.#guesses.right();
    return isRight === true;
  }
}

/** Asks for a new password, twice. @param insists whether asking goes on until there is one; else giving up is no error */
export async function choosePassword(
  conversation: Conversation,
  users: Users,
  name: string,
  insists: boolean,
): Promise<boolean> {
  do {
    const password = await conversation.readSecret("new password: ");
    if (password === undefined || password === "") continue;
    if ((await conversation.readSecret("the same again: ")) !== password) {
      conversation.say("The two were not the same.\n");
      continue;
    }
    try {
      await users.set(name, password);
      return true;
    } catch (error) {
      if (!isRefusedChoice(error)) throw error;
      conversation.say(renderError(error));
    }
  } while (insists);
  return false;
}
