/** Lines of JSON on their way to a peer who takes them in its own time. Whoever adds them sees to it that they are few. */
export class Lines implements AsyncIterable<string> {
  readonly #waiting: string[] = [];
  #ended = false;
  #wake: () => void = () => {};

  add(value: unknown): void {
    this.#waiting.push(`${JSON.stringify(value)}\n`);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for (;;) {
      const line = this.#waiting.shift();
      if (line !== undefined) yield line;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
