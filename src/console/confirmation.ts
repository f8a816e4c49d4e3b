/**
 * Goes back from a revision that is not confirmed in time. It outlives the sessions, since a commit that cuts off the
 * operator is what it is for. What it knows is in the revision's file, where it looks every few seconds: so it acts for
 * commits of other processes, too, and a new process takes over from one that ended.
 */

import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { millis } from "../base/units.ts";
import { BY_ITSELF, type Revision } from "../config/revisions.ts";
import type { Timer } from "../platform/clock.ts";
import type { Appliance } from "./appliance.ts";

const LOOK_PERIOD = millis(5000);

export class Confirmation {
  #timer: Timer | undefined;
  #closed = false;
  /** The revision that waited when this looked last. */
  #waiting: number | undefined;
  /** What was told last, so that a trouble that lasts is told once. */
  #told = "";
  #settled: (() => void)[] = [];

  constructor(
    private readonly appliance: Appliance,
    /** Says to whoever is there what happened. */
    private readonly tell: (text: string) => void,
    /** A bug: nothing else may be done about what it is given. */
    private readonly onBug: (error: unknown) => void,
  ) {}

  /** Looks at once what waits to be confirmed, and from then on again and again. Rejects with `file.failed`. */
  async watch(): Promise<void> {
    this.#timer?.cancel();
    const due = await this.appliance.revisions.confirmationDue();
    const [newest] = await this.appliance.revisions.numbers();
    this.#waiting = due === undefined ? undefined : newest;
    if (due === undefined) this.#settle();
    if (this.#closed) return;
    this.#timer?.cancel();
    const next = millis(Math.min(LOOK_PERIOD, due ?? LOOK_PERIOD));
    this.#timer = this.appliance.clock.after(next, () => this.#look().catch(this.onBug));
  }

  /** Whether something waits to be confirmed. */
  async isPending(): Promise<boolean> {
    return (await this.appliance.revisions.confirmationDue()) !== undefined;
  }

  /** Resolves when nothing waits any more, or after `close`. */
  settled(): Promise<void> {
    return this.#closed ? Promise.resolve() : new Promise((resolve) => this.#settled.push(resolve));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#settle();
  }

  async #look(): Promise<void> {
    try {
      if ((await this.appliance.revisions.confirmationDue()) === 0) await this.#goBack();
      else await this.#tellOfOthers();
      this.#told = "";
      await this.watch();
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      const text = `Going back from a commit that was not confirmed failed: ${error.what} ${error.remedy}\n`;
      if (text !== this.#told) this.tell(text);
      this.#told = text;
      if (!this.#closed) this.#timer = this.appliance.clock.after(LOOK_PERIOD, () => this.#look().catch(this.onBug));
    }
  }

  async #goBack(): Promise<void> {
    const { revisions } = this.appliance;
    const back = await revisions.goBack().catch((error: unknown) => {
      if (!isOperatingError(error, "revision.moved")) throw error;
    });
    if (back === undefined) return this.#tellOfOthers();
    this.tell(`Nobody confirmed the last commit. ${describe(back)}\n`);
    this.tell(`${await this.appliance.apply(back)}\n`);
  }

  /** Where another console of this machine was quicker to go back, this one's operator should know as well. */
  async #tellOfOthers(): Promise<void> {
    if (this.#waiting === undefined) return;
    const newest = (await this.appliance.revisions.list())[0]?.revision;
    if (newest === undefined || newest.number === this.#waiting || newest.author !== BY_ITSELF) return;
    this.tell(`Nobody confirmed the last commit. ${describe(newest)}\nAnother console carries that out.\n`);
  }

  #settle(): void {
    for (const resolve of this.#settled.splice(0)) resolve();
  }
}

function describe({ number, comment }: Revision): string {
  return `Revision ${number}: ${comment}.`;
}
