/**
 * Files as Linux has them: durable by fsync of the file and of its folder, whole by rename.
 *
 * A file is synced after it was renamed, too, and before its folder is: on FAT its new name leads nowhere until then, while the old
 * one is gone already.
 */

import { type FileHandle, link, mkdir, open, readdir, readFile, rename, rm, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { OperatingError } from "../../base/operating-error.ts";
import type { FileReader, Files, FileWriter } from "../files.ts";
import { forgetCached } from "./libc.ts";

const PRIVATE = 0o600;
const PUBLIC = 0o644;
/** What is not whole yet, beside what it is to replace. */
const PART = ".part";

/** Parts of new files that this process has begun. */
let parts = 0;

export function linuxFiles(): Files {
  return {
    read: (path) => attempt("read", path, () => unlessMissing(readFile(path))),
    replace: (path, content, options) =>
      attempt("written", path, async () => {
        const isNew = options?.isNew === true;
        // Whoever else makes the same file writes a part of its own. One that a power cut leaves is never read.
        const part = isNew ? `${path}.${process.pid}-${++parts}${PART}` : `${path}${PART}`;
        const file = await open(part, "w", options?.isPublic === true ? PUBLIC : PRIVATE);
        try {
          await file.writeFile(content);
          await file.sync();
          if (isNew) await linkNew(part, path);
          else await rename(part, path);
          await file.sync();
        } finally {
          await file.close();
        }
        await syncPath(dirname(path));
      }),
    list: (folder) =>
      attempt("listed", folder, async () => {
        const names = (await unlessMissing(readdir(folder))) ?? [];
        return names.filter((name) => !name.endsWith(PART)).sort();
      }),
    makeFolder: (path) =>
      attempt("made", path, async () => {
        const first = await mkdir(path, { recursive: true, mode: 0o700 });
        if (first === undefined) return;
        // Each folder's name stands in the one above it.
        for (let made = path; made.length >= first.length; made = dirname(made)) await syncPath(dirname(made));
      }),
    rename: (from, to) =>
      attempt("renamed", from, async () => {
        await rename(from, to);
        for (const path of new Set([to, dirname(to), dirname(from)])) await syncPath(path);
      }),
    remove: (path) =>
      attempt("removed", path, async () => {
        await rm(path, { force: true });
        await syncPath(dirname(path));
      }),
    open: (path) =>
      attempt("opened", path, async () => {
        const file = await unlessMissing(open(path, "r"));
        return file === undefined ? undefined : reader(path, file, (await file.stat()).size);
      }),
    create: (path) => attempt("made", path, async () => writer(path, await open(path, "w", PUBLIC))),
    room: (folder) =>
      attempt("looked at", folder, async () => {
        const { bavail, bsize } = await statfs(folder);
        return bavail * bsize;
      }),
  };
}

/** Gives the part the file's name, unless something has it: unlike a rename, a link does not replace. */
async function linkNew(part: string, path: string): Promise<void> {
  try {
    await link(part, path);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause;
    throw new OperatingError("file.exists", `${path} is there already.`, "Look who made it, and choose another name.");
  } finally {
    await rm(part, { force: true });
  }
}

function reader(path: string, file: FileHandle, size: number): FileReader {
  return {
    size,
    read: (offset, into) =>
      attempt("read", path, async () => {
        for (let at = 0; at < into.length; ) {
          const { bytesRead } = await file.read(into, at, into.length - at, offset + at);
          if (bytesRead === 0) throw new Error(`it ends at ${offset + at}`);
          at += bytesRead;
        }
      }),
    close: () => attempt("closed", path, () => file.close()),
  };
}

function writer(path: string, file: FileHandle): FileWriter {
  return {
    write: (part) =>
      attempt("written", path, async () => {
        for (let at = 0; at < part.length; ) at += (await file.write(part, at, part.length - at)).bytesWritten;
      }),
    finish: () =>
      attempt("written", path, async () => {
        await file.sync();
        forgetCached(file.fd);
        await file.close();
        await syncPath(dirname(path));
      }),
    discard: () =>
      attempt("removed", path, async () => {
        await file.close();
        await rm(path, { force: true });
      }),
  };
}

async function attempt<T>(what: string, path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    if (cause instanceof OperatingError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const remedy = "Check the path, its rights, and the room that is left.";
    throw new OperatingError("file.failed", `${path} can't be ${what}: ${reason}.`, remedy, { cause });
  }
}

async function unlessMissing<T>(pending: Promise<T>): Promise<T | undefined> {
  try {
    return await pending;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** @param path of a file or a folder */
async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
