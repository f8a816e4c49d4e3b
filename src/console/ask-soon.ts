/** Asks the site, but does not wait for one that is frozen. */

import { OperatingError } from "../base/operating-error.ts";
import { millis } from "../base/units.ts";
import type { CommandResult } from "../site/commands.ts";
import type { Appliance } from "./appliance.ts";

/** What a site shows of itself is there at once. */
const DEADLINE = millis(3000);

/** Rejects as `Appliance.ask` does, and with `control.silent` where there is no answer in time. */
export async function askSoon(
  { ask, clock }: Pick<Appliance, "ask" | "clock">,
  words: readonly string[],
  signal: AbortSignal,
): Promise<CommandResult> {
  const late = new AbortController();
  const timer = clock.after(DEADLINE, () =>
    late.abort(
      new OperatingError(
        "control.silent",
        `The site has not answered for ${DEADLINE / 1000} s.`,
        "Its process is frozen or overloaded: look at it, or restart the appliance.",
      ),
    ),
  );
  try {
    return await ask(words, () => {}, AbortSignal.any([signal, late.signal]));
  } finally {
    timer.cancel();
  }
}
