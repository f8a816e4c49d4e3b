/**
 * What a TypeScript file imports, and whether its folder may: the rows of ARCHITECTURE.md, where a folder imports
 * only from rows below its own, never from above or beside.
 */

import { posix } from "node:path";

/** Rows from the bottom up. A file in `src/` itself or a folder that is in no row may be in no import, and is a fault. */
const ROWS: readonly (readonly string[])[] = [
  ["base"],
  ["platform"],
  ["iscsi", "journal", "raid", "link", "config", "firmware"],
  ["pipeline"],
  ["mirror", "cascade", "watchdog"],
  ["site"],
  ["console", "management", "appliance"],
  ["cli", "main.ts"],
];

/** The simulated world runs inside a real event loop, and here is what it has to know of it. */
const RUNTIME_EXCEPTION = "src/platform/memory/real-turn.ts";

/** What programs that use the package alone are offered: the runtime, where the product hands in a World's. */
const PACKAGE_RUNTIME = "src/iscsi/bun/";

/** The one side of the platform that touches the machine, and who may compose it with a site. */
const LINUX = "src/platform/linux/";
const LINUX_USERS = ["cli", "main.ts"];

/** A package of its own, which can be published without the rest. */
const PACKAGE = "src/iscsi/";

/** Strings and templates stay, so that quotes in comments and slashes in strings confuse nothing. */
function withoutComments(source: string): string {
  const pieces = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g;
  return source.replace(pieces, (piece) => (piece.startsWith("/") ? piece.replace(/[^\n]/g, " ") : piece));
}

/** Module specifiers of a source: of imports, exports, `import("…")` as value and as type, and `require`. */
export function importsOf(source: string): string[] {
  const code = withoutComments(source);
  const forms = [
    /(?:^|[;}\s])(?:import|export)\s[^"'`;]*?\bfrom\s*["']([^"'\n]+)["']/g,
    /(?:^|[;}\s])import\s*["']([^"'\n]+)["']/g,
    /\b(?:import|require)\s*\(\s*["'`]([^"'`\n]+)["'`]/g,
  ];
  return [...new Set(forms.flatMap((form) => Array.from(code.matchAll(form), (match) => match[1])))];
}

/** @param file its path from the root, such as `src/raid/array.ts` */
function unitOf(file: string): string {
  return file.split("/")[1];
}

function rowOf(unit: string): number {
  return ROWS.findIndex((row) => row.includes(unit));
}

/**
 * What is wrong with where a source in `src/` stands and with what it imports.
 *
 * @param test whether it is a test, which may use the Linux platform and the runtime's modules too
 */
export function importFaults(file: string, source: string, test = file.endsWith(".test.ts")): string[] {
  const unit = unitOf(file);
  if (rowOf(unit) < 0) return [`${file} is in no row: ${unit} is not a known folder of src`];
  return importsOf(source).flatMap((specifier) => {
    const fault = importFault(file, unit, specifier, test);
    return fault === undefined ? [] : [`${file} imports ${specifier}: ${fault}`];
  });
}

function importFault(file: string, unit: string, specifier: string, test: boolean): string | undefined {
  if (!specifier.startsWith(".")) {
    if (specifier === "node-iscsi-target") return rowOf(unit) > rowOf("iscsi") ? undefined : "it is in a row above";
    if (/^(node:|bun(:|$))/.test(specifier)) {
      const mayUse = test || file.startsWith(LINUX) || file === RUNTIME_EXCEPTION || file.startsWith(PACKAGE_RUNTIME);
      return mayUse ? undefined : "only src/platform/linux uses the runtime's modules";
    }
    return file.startsWith(PACKAGE) && !test ? "src/iscsi depends on no package" : undefined;
  }
  if (!specifier.endsWith(".ts") && !specifier.endsWith(".json")) return "a relative import names its file with .ts";
  const target = posix.join(posix.dirname(file), specifier);
  if (target === "package.json") return undefined;
  if (!target.startsWith("src/")) return test && target.startsWith("test/") ? undefined : "it is outside src";
  if (file.startsWith(PACKAGE) && !target.startsWith(PACKAGE)) {
    return "src/iscsi is a package of its own and imports nothing of this project";
  }
  if (target.startsWith(LINUX) && !file.startsWith(LINUX) && !LINUX_USERS.includes(unit) && !test) {
    return "only src/cli and src/main.ts put a site on the Linux platform";
  }
  const targetUnit = unitOf(target);
  if (targetUnit === unit || (unit === "main.ts" && targetUnit === "cli")) return undefined;
  if (rowOf(targetUnit) < 0) return `${targetUnit} is not a known folder of src`;
  if (rowOf(targetUnit) === rowOf(unit)) return "it stands beside, not below";
  return rowOf(targetUnit) < rowOf(unit) ? undefined : "it is in a row above";
}
