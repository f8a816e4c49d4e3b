/**
 * Opening and making the files and block devices that drives are.
 *
 * Invariants: a drive is locked (flock) before anything of it is read, exclusively when it may be written; a block
 * device that may be written is also opened O_EXCL, so that it is neither mounted nor part of something else; when
 * opening or making fails, nothing stays open and no half-made file stays behind; a file that is being made has another
 * name until it is whole, so that a process that is killed meanwhile leaves nothing at its path.
 */

import {
  closeSync,
  constants,
  fstat,
  fsync,
  ftruncate,
  link,
  open,
  read,
  type Stats,
  stat,
  unlink,
  write,
} from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { assert } from "../../base/assert.ts";
import { OperatingError } from "../../base/operating-error.ts";
import { BLOCK_BYTES, type ByteCount, MiB, type Millis, millis } from "../../base/units.ts";
import { type Clock, elapsed, sleep } from "../clock.ts";
import {
  blockDeviceBytes,
  blockDeviceReadOnly,
  EOPNOTSUPP,
  Errno,
  errnoName,
  fallocate,
  flock,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  O_CLOEXEC,
  O_DIRECT,
  PAGE_BYTES,
} from "./libc.ts";
import type { OpenedFile } from "./linux-drive.ts";
import type { LinuxMemory } from "./linux-memory.ts";

/**
 * How long a lock is waited for: the kernel may hold a killed process's files a little longer than the process, and
 * the device manager locks a block device while it looks at it.
 */
export const LOCK_PATIENCE = millis(500);
const LOCK_RETRY = millis(20);
const ZEROS_BYTES = MiB;
/** What is not whole yet. */
const PART = ".part";

const openAsync = promisify(open);
const statAsync = promisify(stat);
const fstatAsync = promisify(fstat);
const readAsync = promisify(read);
const writeAsync = promisify(write);
const fsyncAsync = promisify(fsync);
const ftruncateAsync = promisify(ftruncate);
const linkAsync = promisify(link);
const unlinkAsync = promisify(unlink);

export interface OpenOptions {
  readonly access: "read-write" | "read-only";
  /** False where the page cache is wanted; true falls back to it where the file system cannot do without. */
  readonly direct: boolean;
  /** Whether `syncFd` is wanted. */
  readonly sync: boolean;
  /** How long a lock that somebody else has is waited for; `LOCK_PATIENCE` unless a test says less. */
  readonly patience: Millis;
  readonly clock: Clock;
  readonly memory: LinuxMemory;
}

/** Rejects with `drive.missing`, `drive.busy`, `drive.denied` or `drive.unusable`. */
export async function openDriveFile(path: string, options: OpenOptions): Promise<OpenedFile> {
  const writable = options.access === "read-write";
  // Opening some device nodes does something, so what it is comes first.
  const isBlockDevice = await attempt(path, async () => kindOf(path, await statAsync(path)) === "block device");
  const flags = (writable ? constants.O_RDWR : constants.O_RDONLY) | O_CLOEXEC;
  const exclusive = isBlockDevice && writable ? constants.O_EXCL : 0;

  const direct = options.direct && (await takesDirectIo(path, options.memory));
  const directFlag = direct ? O_DIRECT : 0;
  const fd = await openPatiently(path, flags | exclusive | directFlag, options);
  try {
    await lock(fd, path, writable, options);
    if (isBlockDevice && writable && blockDeviceReadOnly(fd) === 1) throw denied(path, "it is write-protected");
    const bytes = isBlockDevice ? blockDeviceBytes(fd) : (await fstatAsync(fd)).size;
    if (bytes < 0) throw unusable(path, `its size cannot be read: ${errnoName(-bytes)}`);
    const blockCount = Math.floor(bytes / BLOCK_BYTES);
    if (blockCount === 0) throw unusable(path, `it has ${bytes} bytes, less than one block of ${BLOCK_BYTES}`);
    const syncFlags = flags | directFlag | constants.O_DSYNC;
    const syncFd = options.sync && writable ? await openAsync(`/proc/self/fd/${fd}`, syncFlags) : fd;
    return { path, fd, syncFd, writable, direct, blockCount, isBlockDevice };
  } catch (error) {
    closeSync(fd);
    throw translated(path, error);
  }
}

/** Rejects with `drive.exists`, `drive.busy`, `drive.nospace`, `drive.missing`, `drive.denied` or `drive.unusable`. */
export async function createDriveFile(path: string, size: ByteCount): Promise<void> {
  assert(size > 0 && size % BLOCK_BYTES === 0, `a drive of ${size} bytes is not a whole number of blocks`);
  const part = `${path}${PART}`;
  const fd = await attempt(path, () => openAsync(part, constants.O_RDWR | constants.O_CREAT | O_CLOEXEC, 0o600));
  try {
    await claimPart(fd, part, path);
    const result = fallocate(fd, 0, 0, size);
    if (result < 0 && result !== -EOPNOTSUPP) throw errnoError(-result);
    // Space that is only reserved makes the file system write metadata at the first write of each part, and a durable
    // write then takes several times as long.
    await writeZeros(fd, size);
    await fsyncAsync(fd);
    await linkAsync(part, path);
    await unlinkAsync(part);
  } catch (error) {
    if (!(error instanceof OperatingError)) await unlinkAsync(part).catch(() => {});
    throw translated(path, error);
  } finally {
    closeSync(fd);
  }
  await attempt(path, () => syncDirectory(dirname(path)));
}

/** Takes a file that is to be made for this process alone, and empties it of what one that was killed left there. */
async function claimPart(fd: number, part: string, path: string): Promise<void> {
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) throw busy(path);
  const [own, there] = await Promise.all([fstatAsync(fd), statAsync(part).catch(() => undefined)]);
  // Whoever had it before has finished it meanwhile.
  if (there?.ino !== own.ino) throw busy(path);
  const exists = await statAsync(path).then(
    () => true,
    () => false,
  );
  if (exists) throw errnoError(Errno.EEXIST);
  await ftruncateAsync(fd, 0);
}

function kindOf(path: string, stats: Stats): "block device" | "file" {
  if (stats.isBlockDevice()) return "block device";
  if (stats.isFile()) return "file";
  throw unusable(path, stats.isDirectory() ? "it is a directory" : "it is neither a file nor a block device");
}

/** Whether reads around the page cache work; some file systems refuse to open for them, some refuse to read. */
async function takesDirectIo(path: string, memory: LinuxMemory): Promise<boolean> {
  const page = memory.allocate(PAGE_BYTES);
  let fd: number | undefined;
  try {
    fd = await openAsync(path, constants.O_RDONLY | O_CLOEXEC | O_DIRECT);
    await readAsync(fd, page, 0, PAGE_BYTES, 0);
    return true;
  } catch (error) {
    // What else is wrong with it is for the real opening, or for the first request, to say.
    return codeOf(error) !== "EINVAL";
  } finally {
    if (fd !== undefined) closeSync(fd);
    memory.free(page);
  }
}

/** Opens what somebody who is just letting go of it may hold for a moment longer. */
async function openPatiently(path: string, flags: number, { clock, patience }: OpenOptions): Promise<number> {
  const start = clock.now();
  for (;;) {
    try {
      return await openAsync(path, flags);
    } catch (error) {
      if (codeOf(error) !== "EBUSY" || elapsed(clock, start) >= patience) throw translated(path, error);
      await sleep(clock, LOCK_RETRY);
    }
  }
}

async function lock(fd: number, path: string, writable: boolean, { clock, patience }: OpenOptions): Promise<void> {
  const start = clock.now();
  for (;;) {
    const result = flock(fd, (writable ? LOCK_EX : LOCK_SH) | LOCK_NB);
    if (result === 0) return;
    if (result !== -Errno.EAGAIN) throw unusable(path, `it cannot be locked: ${errnoName(-result)}`);
    if (elapsed(clock, start) >= patience) throw busy(path);
    await sleep(clock, LOCK_RETRY);
  }
}

async function writeZeros(fd: number, bytes: number): Promise<void> {
  const zeros = new Uint8Array(ZEROS_BYTES);
  for (let at = 0; at < bytes; ) {
    const { bytesWritten } = await writeAsync(fd, zeros, 0, Math.min(ZEROS_BYTES, bytes - at), at);
    at += bytesWritten;
  }
}

/** A new file's name is durable once its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const fd = await openAsync(path, constants.O_RDONLY | O_CLOEXEC);
  try {
    await fsyncAsync(fd);
  } finally {
    closeSync(fd);
  }
}

async function attempt<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw translated(path, error);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function errnoError(errno: number): Error {
  return Object.assign(new Error(errnoName(errno)), { code: errnoName(errno) });
}

function unusable(path: string, why: string): OperatingError {
  return new OperatingError(
    "drive.unusable",
    `Drive ${path} cannot be used: ${why}.`,
    `Name a block device or a file of at least ${BLOCK_BYTES} bytes.`,
  );
}

function denied(path: string, why: string): OperatingError {
  return new OperatingError(
    "drive.denied",
    `Drive ${path} may not be opened: ${why}.`,
    "Give this user access to it, and lift its write protection.",
  );
}

function busy(path: string): OperatingError {
  return new OperatingError(
    "drive.busy",
    `Drive ${path} is in use.`,
    "Stop the other process that has it open, unmount it, or name another drive.",
  );
}

/** The system's error as the operator's; an `OperatingError` stays what it is. */
function translated(path: string, error: unknown): unknown {
  const code = codeOf(error);
  if (error instanceof OperatingError || code === undefined) return error;
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
    case "ENXIO":
    case "ENODEV":
    case "ENOMEDIUM":
      return new OperatingError(
        "drive.missing",
        `Drive ${path} is not there.`,
        "Check its path and that it is attached.",
      );
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return denied(path, code);
    case "EBUSY":
      return busy(path);
    case "EEXIST":
      return new OperatingError("drive.exists", `${path} is there already.`, "Name another file, or remove this one.");
    case "ENOSPC":
    case "EDQUOT":
    case "EFBIG":
      return new OperatingError(
        "drive.nospace",
        `There is no room for ${path}: ${code}.`,
        "Choose a smaller size or a file system with more room.",
      );
    default:
      return unusable(path, code);
  }
}
