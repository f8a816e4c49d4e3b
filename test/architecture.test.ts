/** Holds the direction of dependence and the shape of files that ARCHITECTURE.md and CONTRIBUTING.md promise. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { importFaults, importsOf } from "./imports.ts";

const root = join(import.meta.dirname, "..");
const LINES_MAX = 700;

/** Comments that switch a check off, and so would hollow out the rules that it holds. */
const SUPPRESSION =
  /@ts-(ignore|nocheck|expect-error)|biome-ignore(-all|-start)?\s+lint(:|\/(style\/noRestricted|nursery\/noJsRestricted|suspicious\/noExplicitAny|style\/noNonNull))/;

const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => `src/${file}`)
  .sort();
const read = (file: string) => readFileSync(join(root, file), "utf8");

function shapeFaults(file: string, source: string): string[] {
  const faults: string[] = [];
  const lines = source.split("\n").length - 1;
  if (lines > LINES_MAX) faults.push(`${file} has ${lines} lines, at most ${LINES_MAX}: divide it`);
  const suppressed = SUPPRESSION.exec(source);
  if (suppressed !== null && !file.startsWith("src/platform/"))
    faults.push(`${file} switches a check off: ${suppressed[0]}`);
  return faults;
}

describe("the sources", () => {
  it("are found", () => expect(files.length).toBeGreaterThan(20));

  it("import only from rows below their own", () => {
    expect(files.flatMap((file) => importFaults(file, read(file)))).toEqual([]);
  });

  it("are files of a size to read, with no check switched off", () => {
    expect(files.flatMap((file) => shapeFaults(file, read(file)))).toEqual([]);
  });
});

describe("imports", () => {
  it("are found in every form, and not in comments or strings", () => {
    const source = `
import "./a1.ts";
import a from './a2.ts';
import type { B } from "./a3.ts";
import {
  c, // from "./no1.ts"
  d,
} from "./a4.ts";
export * from "./a5.ts";
export { e } from "./a6.ts";
const f = await import("./a7.ts");
type G = import("./a8.ts").G;
const h = require("./a9.ts");
// import "./no2.ts";
/* import i from "./no3.ts"; */
const j = "// not a comment"; import k, * as l from "./a10.ts";
const m = 'import n from the other side'; const o = "from './no4'";
export const p = q.from("./no5.ts");
`;
    expect(importsOf(source).sort()).toEqual(Array.from({ length: 10 }, (_, at) => `./a${at + 1}.ts`).sort());
  });

  it.each([
    ["src/base/x.ts", "../platform/clock.ts", "it is in a row above"],
    ["src/platform/x.ts", "../journal/journal.ts", "it is in a row above"],
    ["src/journal/x.ts", "../raid/array.ts", "it stands beside, not below"],
    ["src/mirror/x.ts", "../cascade/relay.ts", "it stands beside, not below"],
    ["src/pipeline/x.ts", "../site/site.ts", "it is in a row above"],
    ["src/pipeline/deep/x.ts", "../../mirror/mirror.ts", "it is in a row above"],
    ["src/site/x.ts", "../cli/demo.ts", "it is in a row above"],
    ["src/journal/x.ts", "node-iscsi-target", "it is in a row above"],
    [
      "src/site/x.ts",
      "../platform/linux/linux-world.ts",
      "only src/cli and src/main.ts put a site on the Linux platform",
    ],
    ["src/platform/memory/x.ts", "../linux/libc.ts", "only src/cli and src/main.ts put a site on the Linux platform"],
    ["src/iscsi/x.ts", "../base/units.ts", "src/iscsi is a package of its own and imports nothing of this project"],
    [
      "src/iscsi/x.test.ts",
      "../base/units.ts",
      "src/iscsi is a package of its own and imports nothing of this project",
    ],
    ["src/iscsi/x.ts", "zod", "src/iscsi depends on no package"],
    ["src/site/x.ts", "node:fs", "only src/platform/linux uses the runtime's modules"],
    ["src/platform/memory/x.ts", "bun:ffi", "only src/platform/linux uses the runtime's modules"],
    ["src/cli/x.ts", "node:fs", "only src/platform/linux uses the runtime's modules"],
    ["src/cli/x.ts", "bun:ffi", "only src/platform/linux uses the runtime's modules"],
    ["src/site/x.ts", "bun", "only src/platform/linux uses the runtime's modules"],
    ["src/site/x.ts", "../../test/helper.ts", "it is outside src"],
    ["src/site/x.ts", "../attic/old.ts", "attic is not a known folder of src"],
    ["src/site/x.ts", "./site.js", "a relative import names its file with .ts"],
  ])("of %s from %s are refused", (file, specifier, fault) => {
    expect(importFaults(file, `import { x } from "${specifier}";`)).toEqual([`${file} imports ${specifier}: ${fault}`]);
    expect(importFaults(file, `type X = import("${specifier}").X;`)).toHaveLength(1);
  });

  it.each([
    ["src/pipeline/x.ts", "../journal/journal.ts"],
    ["src/pipeline/deep/x.ts", "../align.ts"],
    ["src/site/x.ts", "../iscsi/index.ts"],
    ["src/site/x.ts", "node-iscsi-target"],
    ["src/main.ts", "./cli/program.ts"],
    ["src/cli/x.ts", "../platform/linux/linux-world.ts"],
    ["src/site/version.ts", "../../package.json"],
    ["src/platform/linux/x.ts", "bun:ffi"],
    ["src/journal/x.test.ts", "node:fs"],
    ["src/journal/x.test.ts", "../platform/linux/linux-world.ts"],
    ["src/config/x.ts", "zod"],
  ])("of %s from %s are allowed", (file, specifier) => {
    expect(importFaults(file, `import { x } from "${specifier}";`)).toEqual([]);
  });

  it("from a folder of no row are refused", () => {
    expect(importFaults("src/attic/x.ts", "")).toEqual([
      "src/attic/x.ts is in no row: attic is not a known folder of src",
    ]);
  });
});

describe("shape", () => {
  it("is refused where a file is too long or a check is switched off", () => {
    expect(shapeFaults("src/a/x.ts", "\n".repeat(LINES_MAX))).toEqual([]);
    expect(shapeFaults("src/a/x.ts", "\n".repeat(LINES_MAX + 1))).toHaveLength(1);
    for (const comment of [
      "@ts-ignore",
      "@ts-expect-error",
      "biome-ignore lint/suspicious/noExplicitAny: x",
      "biome-ignore lint: x",
    ]) {
      expect(shapeFaults("src/a/x.ts", `// ${comment}\n`)).toHaveLength(1);
      expect(shapeFaults("src/platform/memory/x.ts", `// ${comment}\n`)).toEqual([]);
    }
    expect(shapeFaults("src/a/x.ts", "// biome-ignore lint/suspicious/noControlCharactersInRegex: meant\n")).toEqual(
      [],
    );
  });
});
