import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { COMMANDS } from "../site/commands.ts";
import { CONFIGURING } from "./configuring.ts";
import type { Rule } from "./grammar.ts";
import { OPERATIONAL } from "./operational.ts";
import { PARAMETERS } from "./parameters.ts";
import { withReference } from "./reference.ts";
import { USER_COMMANDS } from "./user-commands.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/console.md"), "utf8");

const parametersIn = (rules: readonly Rule[]) =>
  rules.flatMap(({ parameters }) => parameters.split(" ").map((word) => word.replace(/[[\]]/g, "")));

describe("docs/console.md", () => {
  it("has the tables that npm run docs makes of the grammar", () => expect(page).toBe(withReference(page)));

  it("gets what is missing in a table, and loses what is too much", () => {
    const stale = page.replace(/^\| `monitor` .*\n/m, "| `old` | gone |\n");
    expect(stale).not.toBe(page);
    expect(withReference(stale)).toBe(page);
    expect(() => withReference(page.replace("docs: users", "docs: sheep"))).toThrow("no table is called sheep");
    expect(() => withReference(page.replace("docs: users -->", "-->"))).toThrow("no mark for users");
  });

  it("says what each word in capitals stands for", () => {
    const words = parametersIn([...OPERATIONAL, ...USER_COMMANDS, ...CONFIGURING]).filter((word) =>
      /^[A-Z]+$/.test(word),
    );
    expect([...new Set(words)].sort()).toEqual(Object.keys(PARAMETERS));
  });
});

it("the console has every command of antipode ctl, from the one table", () => {
  const described = (rules: readonly Rule[]) =>
    rules.map(({ words, parameters, summary }) => [words, parameters, summary]);
  const asked = COMMANDS.filter(({ words }) => words[0] !== "help" && words[0] !== "reload");
  expect(described(OPERATIONAL.slice(0, asked.length))).toEqual(described(asked));
});
