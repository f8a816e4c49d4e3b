/** A file that an operator names, outside of what is the appliance's own, and often on a stick. */

import { OperatingError } from "../base/operating-error.ts";
import { resolvePath } from "../config/paths.ts";
import type { Desk } from "./command.ts";

/** Rejects with `command.parameters` unless it is an absolute path outside the folder of the revisions; else as the work does. */
export async function withFile<T>({ appliance }: Desk, file: string, work: (path: string) => Promise<T>): Promise<T> {
  if (!file.startsWith("/")) {
    throw new OperatingError("command.parameters", `${file} is no whole path.`, "Give one that starts with '/'.");
  }
  const path = resolvePath("/", file);
  if (path.startsWith(`${resolvePath("/", appliance.revisions.folder)}/`)) {
    throw new OperatingError(
      "command.parameters",
      `${path} is where revisions are kept.`,
      "Name a file elsewhere; rollback N takes up a revision.",
    );
  }
  return appliance.reach(path, () => work(path));
}
