/** The command line of the benchmark. */

import { parseArgs } from "node:util";
import { BenchFailure } from "./failure.ts";

/** What can be named; what runs if nothing is: all that needs no virtual machine. */
export const PARTS = ["compare", "mirrored", "package", "digests", "lio"] as const;
export type Part = (typeof PARTS)[number];
const DEFAULT_PARTS = PARTS.filter((part) => part !== "lio");

export interface Options {
  readonly parts: readonly Part[];
  readonly rounds: number;
  readonly seconds: number;
  readonly dir: string;
  /** Only cases whose name, with the part's before it, matches. */
  readonly only: RegExp | undefined;
  readonly json: string | undefined;
  /** Minutes of the soak, in place of all else. */
  readonly soak: number | undefined;
}

const USAGE = `npm run bench -- [PART…] [--rounds N] [--seconds S] [--dir DIR] [--only PATTERN] [--json FILE]

  PART            compare, mirrored, package, digests (these if none is named), or lio: beside the kernel's target, in a guest
  --rounds N      rounds of each case, each with one run on every target (5)
  --seconds S     what one run is to take (3)
  --dir DIR       a folder on the disk to measure on; needs 8 GiB (/var/tmp)
  --only PATTERN  only the cases that match this regular expression, such as "compare.*read" or "mirrored"
  --json FILE     writes the figures of every round into this file
  --soak MINUTES  measures nothing of that, but loads the package for so long and tells whether its memory grows`;

/** @param defaultDir where to measure if nothing is said */
export function parseOptions(args: readonly string[], defaultDir: string): Options {
  let values: Record<string, string | boolean | undefined>;
  let named: readonly string[];
  try {
    ({ values, positionals: named } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "3" },
        dir: { type: "string", default: defaultDir },
        only: { type: "string" },
        json: { type: "string" },
        soak: { type: "string" },
        help: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    throw new BenchFailure(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
  }
  if (values.help === true) throw new BenchFailure(USAGE);
  const parts = PARTS.filter((part) => named.includes(part));
  const unknown = named.find((name) => !parts.some((part) => part === name));
  if (unknown !== undefined) throw new BenchFailure(`There is no part ${unknown}: ${PARTS.join(", ")}.`);
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000) {
    throw new BenchFailure(`--rounds ${values.rounds} is not a whole number from 1 to 1000.`);
  }
  if (!(seconds >= 0.1 && seconds <= 600)) {
    throw new BenchFailure(`--seconds ${values.seconds} is not a number from 0.1 to 600.`);
  }
  const only = typeof values.only === "string" ? pattern(values.only) : undefined;
  const json = typeof values.json === "string" ? values.json : undefined;
  const soak = typeof values.soak === "string" ? Number(values.soak) : undefined;
  if (soak !== undefined && !(soak >= 0.5 && soak <= 10_000)) {
    throw new BenchFailure(`--soak ${values.soak} is not a number of minutes from 0.5 to 10000.`);
  }
  return {
    parts: parts.length > 0 ? parts : DEFAULT_PARTS,
    rounds,
    seconds,
    dir: String(values.dir),
    only,
    json,
    soak,
  };
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text, "i");
  } catch {
    throw new BenchFailure(`--only ${text} is not a regular expression.`);
  }
}
