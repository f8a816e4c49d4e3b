/** Who may log in, and with what password: commands of consoles that ask. */

import { assert } from "../base/assert.ts";
import { type ConsoleCommand, command, type Desk } from "./command.ts";
import { choosePassword } from "./login.ts";
import type { Users } from "./users.ts";

export const USER_COMMANDS: readonly ConsoleCommand[] = [
  command("password", "", "change your own password", async (desk) => {
    const { conversation, user } = desk;
    const current = await conversation.readSecret("present password: ");
    if (current === undefined) return;
    const isRight = await usersOf(desk).verify(user, current);
    if (!isRight) conversation.say("That is not right.\n");
    else if (await choosePassword(conversation, usersOf(desk), user, false)) conversation.say("It is changed.\n");
  }),
  command("show users", "", "who may log in", async (desk) => {
    await desk.conversation.print((await usersOf(desk).names()).join("\n"));
  }),
  command("user set", "NAME", "make a user, or give one another password", async (desk, [name]) => {
    const { conversation } = desk;
    if (await choosePassword(conversation, usersOf(desk), name, false)) conversation.say(`${name} may log in.\n`);
  }),
  command("user delete", "NAME", "let a user log in no more", async (desk, [name]) => {
    await usersOf(desk).delete(name);
    desk.conversation.say(`${name} may not log in any more.\n`);
  }),
];

function usersOf({ users }: Desk): Users {
  assert(users !== undefined, "only a console that asks for logins has these commands");
  return users;
}
