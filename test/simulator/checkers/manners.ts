/**
 * What one site sends the other is never what the link forbids. Every frame is checked for damage on its way, so that no
 * fault of the network can make one of these errors.
 */

import type { Checker } from "./checker.ts";
import type { Fleet } from "./fleet.ts";

const FORBIDDEN = new Set([
  "link.protocol",
  "link.credit",
  "link.gap",
  "link.type",
  "link.oversized",
  "link.malformed",
]);

export class Manners implements Checker {
  readonly name = "manners";
  readonly #fleet: Fleet;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  look(): string | undefined {
    for (const { name, forwards } of this.#fleet.running) {
      for (const { to, sender } of forwards) {
        const { lastError } = sender;
        if (lastError !== undefined && FORBIDDEN.has(lastError.code))
          return `the link of ${name} to ${to} ended with ${lastError.code}: ${lastError.what}`;
      }
    }
    return undefined;
  }
}
