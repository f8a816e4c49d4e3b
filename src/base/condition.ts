/** Waiting for a state of affairs: `poke` after each change, and those whose condition holds go on. */

interface Waiter {
  readonly holds: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Condition {
  #waiters: Waiter[] = [];
  #failed: Error | undefined;

  /** Resolves at once if `holds()`, else after the first `poke` that finds it true; rejects after `fail`. */
  async until(holds: () => boolean): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed;
    if (holds()) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiters.push({ holds, resolve, reject });
    });
  }

  poke(): void {
    if (this.#waiters.length === 0) return;
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (waiter.holds()) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }

  /** Nothing waited for will ever come: all that wait, and all that come to wait, are told so. */
  fail(error: Error): void {
    this.#failed = error;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}
