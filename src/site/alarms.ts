/** What is wrong at a site and stays wrong until somebody acts: each once, by what it says. */

import type { OperatingError } from "../base/operating-error.ts";
import type { SiteEvent } from "./events.ts";
import type { Alarm } from "./status.ts";

export class Alarms {
  readonly #raised = new Map<string, Alarm>();
  readonly #onEvent: (event: SiteEvent) => void;

  constructor(onEvent: (event: SiteEvent) => void) {
    this.#onEvent = onEvent;
  }

  get list(): readonly Alarm[] {
    return Array.from(this.#raised.values());
  }

  raise(error: OperatingError): void {
    if (this.#raised.has(error.what)) return;
    this.#raised.set(error.what, { code: error.code, what: error.what, remedy: error.remedy });
    this.#onEvent({ kind: "alarm", error });
  }
}
