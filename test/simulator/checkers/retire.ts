/**
 * No site stores a request before it knows that it is committed, since an array can't take back what a new epoch cuts.
 * No site drops a request before it is committed, durable and stored here, and durable at every site that it
 * was forwarded to. That the array really holds what was dropped, the copies of `takeover-sets` show.
 */

import type { Checker } from "./checker.ts";
import { type Fleet, nextSites } from "./fleet.ts";
import type { LogRecord } from "./log-record.ts";
import type { Obligations } from "./obligations.ts";

export class Retire implements Checker {
  readonly name = "retire";
  readonly #fleet: Fleet;
  readonly #record: LogRecord;
  readonly #obligations: Obligations;

  constructor(fleet: Fleet, record: LogRecord, obligations: Obligations) {
    this.#fleet = fleet;
    this.#record = record;
    this.#obligations = obligations;
  }

  look(): string | undefined {
    for (const { name, config, journal, pipeline } of this.#fleet.running) {
      const { retired, durable } = journal;
      const { stored, committed } = pipeline;
      if (stored > committed) return `${name} has stored up to ${stored}, and knows only ${committed} to be committed`;
      if (retired > this.#record.committed) {
        return `${name} has retired up to ${retired}, but nobody knows more than ${this.#record.committed} to be committed`;
      }
      if (retired > Math.min(committed, durable, stored)) {
        return `${name} has retired up to ${retired}; committed here is ${committed}, durable ${durable}, stored ${stored}`;
      }
      for (const next of nextSites(config)) this.#obligations.raise(next, retired, `${name} has retired all up to`);
    }
    return this.#obligations.broken(this.#fleet);
  }
}
