/** The tables of docs/console.md that are made of the grammar itself, so that the page can't tell of another console. */

import { assert } from "../base/assert.ts";
import { CONFIGURING } from "./configuring.ts";
import type { Rule } from "./grammar.ts";
import { OPERATIONAL } from "./operational.ts";
import { PARAMETERS } from "./parameters.ts";
import { USER_COMMANDS } from "./user-commands.ts";

type Row = readonly [string, string];

/** By the name that stands in the mark before a table. */
const TABLES: Readonly<Record<string, { readonly head: Row; readonly rows: readonly Row[] }>> = {
  operational: commandTable(OPERATIONAL),
  users: commandTable(USER_COMMANDS),
  configuration: commandTable(CONFIGURING),
  parameters: {
    head: ["word", "stands for"],
    rows: Object.entries(PARAMETERS).map(([word, meaning]): Row => [`\`${word}\``, meaning]),
  },
};

/** A mark, and the table that it is followed by. */
const MARKED = /^<!-- made by npm run docs: ([a-z]+) -->\n(?:\|.*\n)*/gm;

/** The page with its tables as they should be. Each has its mark there. */
export function withReference(page: string): string {
  const missing = new Set(Object.keys(TABLES));
  const made = page.replaceAll(MARKED, (_, name: string) => {
    const table = TABLES[name];
    assert(table !== undefined, `no table is called ${name}`);
    missing.delete(name);
    return `<!-- made by npm run docs: ${name} -->\n${render([table.head, ["---", "---"], ...table.rows])}`;
  });
  assert(missing.size === 0, `the page has no mark for ${[...missing].join(", ")}`);
  return made;
}

function commandTable(rules: readonly Rule[]): { readonly head: Row; readonly rows: readonly Row[] } {
  const rows = rules.map(({ words, parameters, summary }): Row => {
    return [`\`${[...words, parameters].join(" ").trim()}\``, summary];
  });
  return { head: ["command", "does"], rows };
}

function render(rows: readonly Row[]): string {
  return rows.map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`).join("");
}
