/** Whether node_modules holds what package-lock.json names, told from npm's own record of what it installed. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

/** npm writes this last, so that an installation which was broken off has none. */
const INSTALLED = "node_modules/.package-lock.json";

/** @returns why the packages have to be installed, or undefined when they need not be */
export function lockMismatch(root) {
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  let installed;
  try {
    installed = JSON.parse(readFileSync(join(root, INSTALLED), "utf8")).packages;
  } catch {
    return "none are installed";
  }
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.startsWith("node_modules/")) continue;
    const found = installed[path];
    const name = path.slice("node_modules/".length);
    if (found === undefined && !entry.optional) return `${name} is missing`;
    if (found !== undefined && found.version !== entry.version)
      return `${name} is ${found.version}, not ${entry.version}`;
  }
  return undefined;
}
