import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MemoryFiles } from "../platform/memory/memory-files.ts";
import { plainPasswords } from "../platform/memory/plain-passwords.ts";
import { SeededRandom } from "../platform/memory/seeded-random.ts";
import { CONFIGURING } from "./configuring.ts";
import type { Rule } from "./grammar.ts";
import { OPERATIONAL } from "./operational.ts";
import { userCommands } from "./user-commands.ts";
import { Users } from "./users.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/console.md"), "utf8");

/** The rows of the table below a heading. */
function rowsBelow(heading: string): string[] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return section.split("\n").filter((line) => line.startsWith("| `"));
}

const row = ({ words, parameters, summary }: Rule) =>
  `| \`${[...words, parameters].join(" ").trim()}\` | ${summary.replaceAll("|", "\\|")} |`;

describe("docs/console.md", () => {
  const users = userCommands(new Users("/users", new MemoryFiles(), plainPasswords, new SeededRandom("docs")));

  it("has the commands of operational mode as the console's own help has them", () => {
    expect(rowsBelow("Operational mode")).toEqual(OPERATIONAL.map(row));
  });

  it("has the commands for users", () => expect(rowsBelow("Users and passwords")).toEqual(users.map(row)));

  it("has the commands of configuration mode", () => {
    expect(rowsBelow("Configuration mode")).toEqual(CONFIGURING.map(row));
  });
});
