/** Who may log in, and with what password: commands of consoles that ask. */

import { type ConsoleCommand, command } from "./command.ts";
import { choosePassword } from "./login.ts";
import type { Users } from "./users.ts";

export function userCommands(users: Users): readonly ConsoleCommand[] {
  return [
    command("password", "", "change your own password", async ({ conversation, user }) => {
      const current = await conversation.readSecret("present password: ");
      if (current === undefined) return;
      const isRight = await users.verify(user, current);
      if (!isRight) conversation.say("That is not right.\n");
      else if (await choosePassword(conversation, users, user, false)) conversation.say("It is changed.\n");
    }),
    command("show users", "", "who may log in", async ({ conversation }) => {
      await conversation.print((await users.names()).join("\n"));
    }),
    command("user set", "NAME", "make a user, or give one another password", async ({ conversation }, [name]) => {
      if (await choosePassword(conversation, users, name, false)) conversation.say(`${name} may log in.\n`);
    }),
    command("user delete", "NAME", "let a user log in no more", async ({ conversation }, [name]) => {
      await users.delete(name);
      conversation.say(`${name} may not log in any more.\n`);
    }),
  ];
}
