/** Configurations that are wrong: refused as a whole, by field and place, before anything is touched. */

import { mkdirSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { qemuIo } from "../conformance/initiator.ts";
import { alone, type Config, put, urlOf } from "../conformance/sites.ts";
import { freePorts, Workbench } from "../conformance/workbench.ts";
import { contents, EXIT, expectNoTrace, expectRefusal } from "./refusal.ts";

const FILES = ["alone-drive-0", "alone-journal"];

let bench: Workbench;
let good: Config;
let port: number;
let before: readonly string[];

beforeAll(async () => {
  bench = new Workbench();
  [port] = await freePorts(1);
  good = alone({ port });
  const site = await bench.serve(put(bench, good));
  await qemuIo(bench, urlOf(port), "write -P 0x77 0 8M");
  expect(await site.stop()).toBe(0);
  before = contents(bench, ...FILES);
});
afterAll(() => bench.close());

const drive = { path: "alone-drive-0", size: "32MiB" };
const cases: readonly [what: string, changes: Config, ...mentions: string[]][] = [
  ["a wrong key", { jornal: {} }, "jornal: unknown key: did you mean journal?"],
  ["a wrong key in a section", { site: { name: "alone", town: "x" } }, "site.town: unknown key", "name, location"],
  ["a wrong type", { volumes: ["lun0"] }, "volumes: "],
  ["a wrong type deep down", { control: { socket: { path: "x" } } }, "control.socket: "],
  ["a wrong size", { volumes: { lun0: { array: "main", size: "8GB", lun: 0 } } }, "volumes.lun0.size: ", "KiB"],
  ["a size without a unit", { journal: { device: "alone-journal", window: 8 } }, "journal.window: ", "MiB"],
  ["an unknown site", { mirror: { legs: [["pueblo"]] } }, "mirror.legs[0][0]: there is no site pueblo"],
  ["a drive that is listed twice", { drives: [drive, drive] }, "drives[1]: ", "the same drive as drives[0]"],
  [
    "a drive that is listed under two names",
    { drives: [drive, { ...drive, path: "./alone-drive-0" }] },
    "the same drive as drives[0]",
  ],
  ["the journal on a drive", { journal: { device: "alone-drive-0" } }, "journal.device: "],
  ["a drive that is not there", { arrays: { main: { level: 1, drives: [1] } } }, "arrays.main.drives[0]: "],
  ["a level of another version", { arrays: { main: { level: 6, drives: [0] } } }, "arrays.main.level: "],
  ["no role", { role: undefined }, "role: is missing"],
  ["a role that is none", { role: "secondary" }, "role: "],
  ["two mistakes at once", { group: "", role: "x" }, "2 problems", "group: ", "role: "],
];

describe("a configuration with", () => {
  it.each(cases)("%s is refused by field and place", async (_what, changes, ...mentions) => {
    const file = put(bench, { ...good, ...changes }, "bad");
    for (const command of ["check", "serve", "inspect"]) {
      const result = await bench.antipode(command, file);
      expectRefusal(result, EXIT.usage, "config.invalid", ...mentions);
      expect(result.stderr).toMatch(/bad\.yaml:\d+:\d+: /);
      expect(result.stdout).toBe("");
    }
  });
});

describe("a configuration that", () => {
  it.each([
    ["is empty", "", "the file is empty"],
    ["is no YAML", "site: [", "not valid YAML"],
    ["is not text", new Uint8Array([0, 255, 254, 0, 13, 7, 200]), "bad.yaml"],
    ["is another document", "[1, 2, 3]", "the file holds a list"],
    ["goes on for ever", `a: &a [x]\nb: ${"[".repeat(20_000)}`, "bad.yaml"],
    ["multiplies itself", bomb(), "bad.yaml"],
  ])("%s is refused, at no great length", async (_what, content, mention) => {
    const result = await bench.antipode("serve", bench.write("bad.yaml", content));
    expectRefusal(result, EXIT.usage, "config.invalid", mention);
    expect(result.stderr.split("\n").length).toBeLessThan(30);
  });

  it("can't be read is refused", async () => {
    expectRefusal(await bench.antipode("serve", "gone.yaml"), EXIT.usage, "config.unreadable", "gone.yaml");
    mkdirSync(bench.path("folder.yaml"));
    expectRefusal(await bench.antipode("check", "folder.yaml"), EXIT.usage, "config.unreadable", "folder.yaml");
  });
});

describe("a command line", () => {
  it.each([
    ["without a command", []],
    ["with an unknown command", ["run"]],
    ["without the file", ["serve"]],
    ["with an unknown option", ["serve", "--force", "alone.yaml"]],
    ["with an option that lacks its value", ["demo", "--port"]],
  ])("%s says how it is used", async (_what, args) => {
    const result = await bench.antipode(...args);
    expect(result.code, result.text).toBe(EXIT.usage);
    expect(result.text).toMatch(/Usage: antipode|antipode --help/);
    expectNoTrace(result.text);
  });

  it.each([
    ["--port", "99999"],
    ["--port", "abc"],
    ["--size", "5"],
    ["--journal", "1MiB"],
  ])("of the demo with %s %s is refused", async (option, value) => {
    const result = await bench.antipode("demo", "--dir", "new", option, value);
    expectRefusal(result, EXIT.usage, "usage.demo", option, value);
  });
});

it("after all of which nothing was made, nothing was changed and the data is there", async () => {
  const made = readdirSync(bench.dir).filter((name) => !name.endsWith(".yaml"));
  expect(made.sort()).toEqual(FILES);
  expect(contents(bench, ...FILES)).toEqual(before);
  const site = await bench.serve(put(bench, good));
  await qemuIo(bench, urlOf(port), "read -P 0x77 0 8M");
  expect(await site.stop()).toBe(0);
});

/** Aliases of aliases: a few lines that are gigabytes when they are followed. */
function bomb(): string {
  const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
  for (let at = 1; at < 12; at++) lines.push(`a${at}: &a${at} [${`*a${at - 1}, `.repeat(10)}]`);
  return lines.join("\n");
}
