/** Whether a watchdog has the timeout that it was asked for, as near as devices come to it. */

import { OperatingError } from "../base/operating-error.ts";
import { type Millis, millis } from "../base/units.ts";
import type { Watchdog } from "../platform/watchdog.ts";

/** A hang lasts no longer than was asked for, but for what a device rounds up: a tenth, and a second in any case. */
const LONGER_PART = 0.1;
const LONGER = millis(1000);
/** A device whose steps are coarse may be this much shorter; it is fed more often then. */
const SHORTER_PART = 0.5;

/** Sets the timeout. @returns what the device has. Throws `watchdog.timeout` where that is another */
export function agreeOnTimeout(watchdog: Watchdog, wanted: Millis): Millis {
  const timeout = watchdog.setTimeout(wanted);
  if (timeout === undefined) throw refusal(watchdog, wanted, "does not tell what timeout it has");
  const most = wanted + Math.max(LONGER, wanted * LONGER_PART);
  if (timeout >= wanted * SHORTER_PART && timeout <= most) return timeout;
  throw refusal(watchdog, wanted, `has a timeout of ${timeout / 1000} s`);
}

function refusal({ path, identity }: Watchdog, wanted: Millis, has: string): OperatingError {
  return new OperatingError(
    "watchdog.timeout",
    `The watchdog ${path} (${identity}) was asked for a timeout of ${wanted / 1000} s, but ${has}.`,
    "Give 'watchdog.timeout' a value that the device has, or name another watchdog.",
  );
}
