/**
 * Goes back from a revision that is not confirmed in time. It outlives the sessions, since a commit that cuts off the
 * operator is what it is for; and what it knows is in the revision's file, so that a new process takes over from it.
 */

import { OperatingError } from "../base/operating-error.ts";
import type { Timer } from "../platform/clock.ts";
import type { Appliance } from "./appliance.ts";

export class Confirmation {
  #timer: Timer | undefined;
  #closed = false;

  /** @param tell says to whoever is there what happened */
  constructor(
    private readonly appliance: Appliance,
    private readonly tell: (text: string) => void,
    /** A bug: nothing else may be done about what it is given. */
    private readonly onBug: (error: unknown) => void,
  ) {}

  /** Looks what waits to be confirmed: at the start, and after every commit and confirmation. */
  async watch(): Promise<void> {
    this.#timer?.cancel();
    const due = await this.appliance.revisions.confirmationDue();
    if (due === undefined || this.#closed) return;
    this.#timer?.cancel();
    this.#timer = this.appliance.clock.after(due, () => this.#due().catch(this.onBug));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #due(): Promise<void> {
    const { revisions } = this.appliance;
    try {
      const left = await revisions.confirmationDue();
      // Another console may have confirmed it, or committed again.
      if (left === undefined) return;
      if (left > 0) return await this.watch();
      const back = await revisions.goBack();
      if (back === undefined) return;
      this.tell(`Nobody confirmed the last commit. Revision ${back.number}: ${back.comment}.\n`);
      this.tell(`${await this.appliance.apply(back)}\n`);
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      this.tell(`The last commit was not confirmed, but going back failed: ${error.what} ${error.remedy}\n`);
    }
  }
}
