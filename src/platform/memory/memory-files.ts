/**
 * Files in memory. Between two steps of a call the power may be cut: `cutAfter(n)` lets the n-th step from now on be the
 * last one, and everything after it fails; what is left then is what a file system would have kept.
 */

import { OperatingError } from "../../base/operating-error.ts";
import type { FileReader, Files, FileWriter } from "../files.ts";

export class MemoryFiles implements Files {
  /** Whole files by path. */
  readonly contents = new Map<string, Uint8Array>();
  readonly #folders = new Set<string>();
  /** Bytes that all files together may take. */
  capacity = Number.POSITIVE_INFINITY;
  #stepsLeft = Number.POSITIVE_INFINITY;
  /** Steps that changed something, so far. */
  steps = 0;

  cutAfter(steps: number): void {
    this.#stepsLeft = steps;
  }

  /** The power is back. */
  restore(): void {
    this.#stepsLeft = Number.POSITIVE_INFINITY;
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.contents.get(path)?.slice();
  }

  async replace(path: string, content: Uint8Array, options?: { readonly isNew?: boolean }): Promise<void> {
    this.#step(path);
    if (options?.isNew === true && this.contents.has(path)) {
      throw new OperatingError("file.exists", `${path} is there already.`, "Choose another name.");
    }
    this.#assertRoom(path, content.length - (this.contents.get(path)?.length ?? 0));
    this.contents.set(path, content.slice());
  }

  async list(folder: string): Promise<readonly string[]> {
    const prefix = folder.endsWith("/") ? folder : `${folder}/`;
    const names = [...this.contents.keys(), ...this.#folders]
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length).split("/")[0]);
    return [...new Set(names)].sort();
  }

  async makeFolder(path: string): Promise<void> {
    this.#folders.add(path);
  }

  async rename(from: string, to: string): Promise<void> {
    const content = this.contents.get(from);
    if (content === undefined) throw failed(from, "it is not there");
    this.#step(from);
    this.contents.delete(from);
    this.contents.set(to, content);
  }

  async remove(path: string): Promise<void> {
    if (!this.contents.has(path)) return;
    this.#step(path);
    this.contents.delete(path);
  }

  async open(path: string): Promise<FileReader | undefined> {
    const content = this.contents.get(path);
    if (content === undefined) return undefined;
    return {
      size: content.length,
      read: async (offset, into) => {
        if (offset + into.length > content.length) throw failed(path, `it ends at ${content.length}`);
        into.set(content.subarray(offset, offset + into.length));
      },
      close: async () => {},
    };
  }

  async create(path: string): Promise<FileWriter> {
    this.#step(path);
    this.contents.set(path, new Uint8Array(0));
    return {
      write: async (part) => {
        this.#step(path);
        const before = this.contents.get(path) ?? new Uint8Array(0);
        this.#assertRoom(path, part.length);
        const after = new Uint8Array(before.length + part.length);
        after.set(before);
        after.set(part, before.length);
        this.contents.set(path, after);
      },
      finish: async () => this.#step(path),
      discard: async () => {
        this.#step(path);
        this.contents.delete(path);
      },
    };
  }

  async room(): Promise<number> {
    return this.capacity - this.#used();
  }

  #used(): number {
    let used = 0;
    for (const content of this.contents.values()) used += content.length;
    return used;
  }

  #assertRoom(path: string, bytes: number): void {
    if (this.#used() + bytes > this.capacity) throw failed(path, "no room is left");
  }

  #step(path: string): void {
    if (this.#stepsLeft === 0) throw failed(path, "the power is gone");
    this.#stepsLeft--;
    this.steps++;
  }
}

function failed(path: string, reason: string): OperatingError {
  return new OperatingError(
    "file.failed",
    `${path}: ${reason}.`,
    "Check the path, its rights, and the room that is left.",
  );
}
