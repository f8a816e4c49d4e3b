/** Keeps docs/troubleshooting.md in step with the errors that the sources can give, and with the exit codes. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OperatingError } from "../../src/base/operating-error.ts";
import { EXIT, exitCodeOf } from "../../src/cli/failure.ts";
import { EXIT_DIFFERENT } from "../../src/site/commands.ts";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/troubleshooting.md"), "utf8");
/** Where an error's code stands: the error itself, its subclass, and the short forms that some parts have for it. */
const CODE = /(?:(?:new OperatingError|super|frameError)\(\s*|CODE\.test\(code\) \? code : )"([a-z]+\.[a-z-]+)"/g;

function codesOf(source: string): readonly string[] {
  return Array.from(source.matchAll(CODE), ([, code]) => code);
}

const inSources = new Set(
  readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !/\.test\.ts$|\.cases\.ts$|testing|fixture/.test(file))
    .flatMap((file) => codesOf(readFileSync(join(root, "src", file), "utf8"))),
);
/** The first cell of each row of a table of codes; the other two have to say something. */
const inPage = page
  .split("\n")
  .filter((line) => /^\| `[a-z]+\.[a-z-]+`/.test(line))
  .flatMap((line) => {
    const [codes, meaning, remedy] = line.split("|").slice(1, 4);
    expect(meaning.trim().length, line).toBeGreaterThan(10);
    expect(remedy.trim().length, line).toBeGreaterThan(3);
    return Array.from(codes.matchAll(/`([a-z]+\.[a-z-]+)`/g), ([, code]) => code);
  });

describe("docs/troubleshooting.md", () => {
  it("has a row for every code that the sources can give", () => {
    expect(inSources.size).toBeGreaterThan(80);
    expect([...inSources].filter((code) => !inPage.includes(code))).toEqual([]);
  });

  it("has no code that the sources can't give, and none twice", () => {
    expect(inPage.filter((code) => !inSources.has(code))).toEqual([]);
    expect(inPage.filter((code, at) => inPage.indexOf(code) !== at)).toEqual([]);
  });

  it("has every exit code", () => {
    expect(EXIT_DIFFERENT).toBe(EXIT.different);
    for (const code of [0, ...Object.values(EXIT)]) expect(page).toMatch(new RegExp(`^\\| ${code} \\| `, "m"));
  });

  it("says of each kind of code how a command ends with it", () => {
    for (const code of inPage) {
      const expected = /^(config|command|usage)\./.test(code) ? EXIT.usage : EXIT.operation;
      expect(exitCodeOf(new OperatingError(code, "x", "y")), code).toBe(expected);
    }
    expect(exitCodeOf(new Error("x"))).toBe(EXIT.bug);
  });
});

describe("codes in sources", () => {
  it("are found in every form", () => {
    const source =
      'new OperatingError("a.b", "x"); new OperatingError(\n  "c.d-e",\n); super(\n"f.g"); frameError("h.i", x); CODE.test(code) ? code : "j.k"';
    expect(codesOf(source)).toEqual(["a.b", "c.d-e", "f.g", "h.i", "j.k"]);
  });
});
