/** Who of the hosts' users may log in, as the configuration has it. */

import type { ChapConfig } from "../config/config.ts";
import type { Chap } from "../iscsi/index.ts";

export function chapOf(config: ChapConfig, users: ChapConfig["users"] = config.users): Chap {
  const encoder = new TextEncoder();
  const known = new Map(
    users.map(({ user, secret, initiators }) => [user, { secret: encoder.encode(secret), initiators }] as const),
  );
  const { mutual, algorithms } = config;
  return {
    secretOf: (user, initiator) => {
      const found = known.get(user);
      return found?.initiators?.includes(initiator) === false ? undefined : found?.secret;
    },
    mutual: mutual && { user: mutual.user, secret: encoder.encode(mutual.secret) },
    algorithms,
  };
}
