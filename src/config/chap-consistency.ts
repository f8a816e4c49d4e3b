/** What has to hold between the users of CHAP: that each is one, and that neither side could be taken for the other. */

import type { KeyPath } from "./problem.ts";
import type { Sections } from "./schema.ts";

type Target = NonNullable<Sections["target"]>;
type Chap = NonNullable<Target["chap"]>;

export function checkChap(
  { users, discovery = [], mutual }: Chap,
  target: Target,
  add: (path: KeyPath, message: string) => void,
): void {
  const known = initiatorsOf(target);
  const where = target.hosts === undefined ? "'target.initiators'" : "any host of 'target.hosts'";
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
        if (list === "users" && known?.includes(initiator) === false)
          add([...path, "initiators", place], `${initiator} is not in ${where}, so it can't log in`);
      }
    }
  }
}

/** Those that may log in; `undefined` where all may. */
function initiatorsOf({ hosts, initiators }: Target): readonly string[] | undefined {
  return hosts === undefined ? initiators : Object.values(hosts).flatMap((host) => host.initiators);
}
