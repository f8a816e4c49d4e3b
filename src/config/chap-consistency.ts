/** What has to hold between the users of CHAP: that each is one, and that neither side could be taken for the other. */

import type { KeyPath } from "./problem.ts";
import type { Sections } from "./schema.ts";

type Chap = NonNullable<NonNullable<Sections["target"]>["chap"]>;

export function checkChap(
  { users, discovery = [], mutual }: Chap,
  initiators: readonly string[] | undefined,
  add: (path: KeyPath, message: string) => void,
): void {
  for (const [list, of] of [
    ["users", users],
    ["discovery", discovery],
  ] as const) {
    for (const [at, { user, secret, initiators: its = [] }] of of.entries()) {
      const path = ["target", "chap", list, at];
      if (of.findIndex((other) => other.user === user) !== at) add([...path, "user"], "is the name of a user above it");
      // RFC 7143 section 12.1.3: or one side's proof could be played back to the other.
      if (secret === mutual?.secret) add([...path, "secret"], "is also the secret in 'mutual'; the two must differ");
      for (const [place, initiator] of its.entries()) {
        if (list === "users" && initiators?.includes(initiator) === false)
          add([...path, "initiators", place], `${initiator} is not in 'target.initiators', so it can't log in`);
      }
    }
  }
}
