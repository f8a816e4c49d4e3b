/** Holds that the lint catches what it is set up to catch: each sample is one line that must not get into `src/`. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "antipode-lint-"));

/** All are refused in src/journal. */
const refused: readonly (readonly [rule: string, source: string])[] = [
  ["noRestrictedGlobals", "export const a = Date.now();"],
  ["noRestrictedGlobals", "export const a = new Date();"],
  ["noRestrictedGlobals", "export const a = performance.now();"],
  ["noRestrictedGlobals", "setTimeout(() => {}, 1);"],
  ["noRestrictedGlobals", "setInterval(() => {}, 1);"],
  ["noRestrictedGlobals", "setImmediate(() => {});"],
  ["noRestrictedGlobals", "queueMicrotask(() => {});"],
  ["noRestrictedGlobals", "export const a = crypto.randomUUID();"],
  ["noRestrictedGlobals", 'export const a = fetch("http://a");'],
  ["noRestrictedGlobals", 'export const a = new WebSocket("ws://a");'],
  ["noRestrictedGlobals", "export const a = process.env;"],
  ["noRestrictedGlobals", 'console.log("a");'],
  ["noRestrictedGlobals", 'export const a = Bun.file("a");'],
  ["noRestrictedGlobals", "export const a = globalThis.Date.now();"],
  ["noRestrictedGlobals", 'export const a = require("a");'],
  ["noJsRestrictedProperties", "export const a = Math.random();"],
  ["noJsRestrictedProperties", 'export const a = Math["random"]();'],
  ["noJsRestrictedProperties", "const { random } = Math;\nexport const a = random();"],
  ["noJsRestrictedProperties", "export const a = AbortSignal.timeout(1);"],
  ["noRestrictedImports", 'import { readFileSync } from "node:fs";\nexport const a = readFileSync;'],
  ["noRestrictedImports", 'import { open } from "node:fs/promises";\nexport const a = open;'],
  ["noRestrictedImports", 'import { connect } from "node:net";\nexport const a = connect;'],
  ["noRestrictedImports", 'import { dlopen } from "bun:ffi";\nexport const a = dlopen;'],
  ["noRestrictedImports", 'import type { Socket } from "bun";\nexport type A = Socket;'],
  ["noRestrictedImports", 'export const a = await import("node:timers/promises");'],
  ["noRestrictedImports", 'import { readFileSync } from "fs";\nexport const a = readFileSync;'],
  ["noRestrictedImports", 'import { open } from "fs/promises";\nexport const a = open;'],
  ["noExplicitAny", "export const a = (b: any) => b;"],
  ["noExplicitAny", "export const a = JSON as any;"],
  ["noNonNullAssertion", "export const a = (b?: number) => b!;"],
];

/** What belongs where it stands. */
const allowed: readonly (readonly [file: string, source: string])[] = [
  [
    "src/platform/linux/ok.ts",
    'import { readFileSync } from "node:fs";\nexport const a = [readFileSync, Date.now(), Math.random()];',
  ],
  ["src/cli/ok.ts", 'process.exitCode = 1;\nconsole.log("a");'],
  ["src/main.ts", "export const a = process.argv;"],
  ["src/journal/ok.test.ts", 'import { readFileSync } from "node:fs";\nexport const a = [readFileSync, Date.now()];'],
  ["src/journal/ok.ts", "export const a = Math.max(1, 2);"],
  ["test/ok.ts", "export const a = Date.now();"],
  ["bench/ok.ts", "export const a = performance.now();"],
];

/** In src/cli all is refused but the process itself. */
const refusedInCli = refused.filter(([, source]) => !/process|console/.test(source));

interface Diagnostic {
  readonly category: string;
  readonly severity: string;
  readonly location: { readonly path: string };
}

const found = new Map<string, string[]>();

function put(file: string, source: string): void {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), `${source}\n`);
}

beforeAll(() => {
  cpSync(join(root, "biome.json"), join(folder, "biome.json"));
  for (const [at, [, source]] of refused.entries()) put(`src/journal/refused${at}.ts`, source);
  for (const [at, [, source]] of refusedInCli.entries()) put(`src/cli/refused${at}.ts`, source);
  for (const [file, source] of allowed) put(file, source);
  const { stdout, stderr } = spawnSync(
    join(root, "node_modules/.bin/biome"),
    ["lint", "--vcs-enabled=false", "--max-diagnostics=none", "--diagnostic-level=error", "--reporter=json", "."],
    { cwd: folder, encoding: "utf8" },
  );
  const report = JSON.parse(stdout === "" ? `{"failed":${JSON.stringify(stderr)}}` : stdout) as {
    diagnostics: Diagnostic[];
  };
  for (const { category, location } of report.diagnostics) {
    const file = location.path.slice(location.path.lastIndexOf(folder) < 0 ? 0 : folder.length + 1);
    found.set(file, [...(found.get(file) ?? []), category.split("/").at(-1) ?? category]);
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the lint", () => {
  it.each(refused.map(([rule, source], at) => ({ rule, source, at })))("refuses $source", ({ rule, at }) => {
    expect(found.get(`src/journal/refused${at}.ts`)).toContain(rule);
  });

  it.each(refusedInCli.map(([rule, source], at) => ({ rule, source, at })))(
    "refuses $source in src/cli",
    ({ rule, at }) => {
      expect(found.get(`src/cli/refused${at}.ts`)).toContain(rule);
    },
  );

  it.each(allowed.map(([file]) => file))("allows what belongs in %s", (file) => {
    expect(found.get(file)).toBeUndefined();
  });
});
