/**
 * Work at a unit's device that no command waits for: what IMMED has asked for, and what outlives its command.
 *
 * Invariant: the device has nothing left to do for the unit once `end` has resolved.
 */

export class Background {
  readonly #jobs = new Set<Promise<void>>();
  readonly #ended = new AbortController();

  get busy(): boolean {
    return this.#jobs.size > 0;
  }

  /** Starts a job that sees to its own errors. @returns a promise that resolves when it is over */
  run(job: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#ended.signal.aborted) return Promise.resolve();
    const running = job(this.#ended.signal).finally(() => this.#jobs.delete(running));
    this.#jobs.add(running);
    return running;
  }

  /** Aborts all jobs and lets none begin any more; resolves when they are over. */
  async end(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#jobs);
  }
}
