/** The file that a target exports. */

import { closeSync, fdatasyncSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";

const PAGE = new Uint8Array(4096);

export function makeVolumeFile(path: string, bytes: number): string {
  writeFileSync(path, "");
  truncateSync(path, bytes);
  return path;
}

/**
 * As `makeVolumeFile`, of a file that lies in the page cache in pages of their own. What is written in large pieces is kept in
 * large folios, and Linux 6.16 and later walk through all blocks of such a folio of ext4 to write one of them: up to 60 µs a write,
 * which would be most of what is measured and of which no target has a part.
 *
 * @param bytes a whole number of pages
 */
export function makeCachedVolumeFile(path: string, bytes: number): string {
  const fd = openSync(path, "w");
  for (let at = 0; at < bytes; at += PAGE.length) writeSync(fd, PAGE, 0, PAGE.length, at);
  closeSync(fd);
  writeBack(path);
  return path;
}

/** Brings what the page cache holds of it to its disk, so that no later run has to wait for that. */
export function writeBack(path: string): void {
  const fd = openSync(path, "r");
  fdatasyncSync(fd);
  closeSync(fd);
}
