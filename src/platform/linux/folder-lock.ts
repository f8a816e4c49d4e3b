/** A lock that processes of one machine keep each other out with; it ends with the process that has it, however that ends. */

import { closeSync, constants, openSync } from "node:fs";
import { flock, LOCK_EX, LOCK_NB, O_CLOEXEC } from "./libc.ts";

/**
 * @param folder is locked, and not changed; where there is none there is nothing to keep others out of
 * @returns how to end it; undefined where another process has it
 */
export function lockFolder(folder: string): (() => void) | undefined {
  let fd: number;
  try {
    fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | O_CLOEXEC);
  } catch {
    return () => {}; // what is done in the folder says why it can't be
  }
  const unlock = () => closeSync(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return unlock;
  unlock();
  return undefined;
}
