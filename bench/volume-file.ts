/** The file that a target exports. */

import { closeSync, fdatasyncSync, openSync, truncateSync, writeFileSync } from "node:fs";

export function makeVolumeFile(path: string, bytes: number): string {
  writeFileSync(path, "");
  truncateSync(path, bytes);
  return path;
}

/** Brings what the page cache holds of it to its disk, so that no later run has to wait for that. */
export function writeBack(path: string): void {
  const fd = openSync(path, "r");
  fdatasyncSync(fd);
  closeSync(fd);
}
