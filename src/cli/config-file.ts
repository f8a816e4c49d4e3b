import { OperatingError } from "../base/operating-error.ts";
import { type Config, parseConfig } from "../config/config.ts";
import { readText, realPath } from "../platform/linux/host-files.ts";

/** Reads a site's configuration. Throws `config.unreadable`, or `config.invalid` with all that is wrong in it. */
export function readConfig(file: string): Config {
  return parseConfig(readFile(file), file, { realPath });
}

function readFile(file: string): string {
  try {
    return readText(file);
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    throw new OperatingError("config.unreadable", error.what, "Give the path of a site's YAML.", { cause: error });
  }
}
