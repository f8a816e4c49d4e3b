/**
 * Small files of the machine that the command runs on: configurations, logs, exports. Not for drives.
 * What fails is reported as `file.failed`, naming the path.
 */

import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { userInfo } from "node:os";
import { OperatingError } from "../../base/operating-error.ts";

function attempt<T>(what: string, path: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OperatingError("file.failed", `${path} can't be ${what}: ${reason}.`, "Check the path and its rights.", {
      cause,
    });
  }
}

export function readText(path: string): string {
  return attempt("read", path, () => readFileSync(path, "utf8"));
}

export function writeText(path: string, text: string): void {
  attempt("written", path, () => writeFileSync(path, text));
}

export function fileExists(path: string): boolean {
  return existsSync(path);
}

/** The path without symbolic links; undefined where it leads nowhere. */
export function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** Whom the system takes the user of this process for. */
export function userName(): string {
  return userInfo().username;
}

/** The names in a folder; none where there is no such folder. */
export function listFolder(path: string): readonly string[] {
  return existsSync(path) ? attempt("listed", path, () => readdirSync(path)) : [];
}

/** Makes a folder and those above it where they are missing; only its owner may enter it. */
export function makeFolder(path: string): void {
  attempt("made", path, () => mkdirSync(path, { recursive: true, mode: 0o700 }));
}

/** A new file that is written in order, and left without blocks where it is all zeros. */
export class SparseFile {
  readonly #path: string;
  readonly #file: number;

  /** Throws `file.failed` where the file is there already. */
  constructor(path: string) {
    this.#path = path;
    this.#file = attempt("made", path, () => openSync(path, "wx"));
  }

  write(offset: number, part: Uint8Array): void {
    attempt("written", this.#path, () => {
      ftruncateSync(this.#file, offset + part.length);
      if (part.every((byte) => byte === 0)) return;
      for (let at = 0; at < part.length; ) at += writeSync(this.#file, part, at, part.length - at, offset + at);
    });
  }

  close(): void {
    closeSync(this.#file);
  }

  /** Closes it and takes it away again: it did not come to its end. */
  discard(): void {
    this.close();
    attempt("removed", this.#path, () => unlinkSync(this.#path));
  }
}
