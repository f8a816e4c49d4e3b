/** The battery behind a machine's write caches: what they hold outlives a power cut while it holds. */
export class Battery {
  #holds = true;

  /** Whether it would hold through a power cut now. */
  get holds(): boolean {
    return this.#holds;
  }

  fail(): void {
    this.#holds = false;
  }

  recover(): void {
    this.#holds = true;
  }
}
