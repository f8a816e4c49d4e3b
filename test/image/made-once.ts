/** A folder that is made once for all test files of a run, by whichever asks first, while the others wait for it. */

import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { until } from "../conformance/workbench.ts";

/** On a machine that is busy with much else, and has Debian's packages to fetch. */
export const MADE_DEADLINE_MS = 240_000;

/**
 * It has that name only once it is whole. Where making it fails, the next that waits tries itself.
 * @param make is given an empty folder
 */
export async function madeOnce(folder: string, make: (part: string) => Promise<void>): Promise<void> {
  const part = `${folder}.part`;
  while (!existsSync(folder)) {
    if (!claim(part)) {
      await until(
        () => existsSync(folder) || !existsSync(part),
        () => `${folder} to be made by another test file`,
        MADE_DEADLINE_MS,
      );
      continue;
    }
    try {
      await make(part);
      renameSync(part, folder);
    } catch (error) {
      rmSync(part, { recursive: true, force: true });
      throw error;
    }
  }
}

/** @returns whether it was nobody's */
function claim(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}
