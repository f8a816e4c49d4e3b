import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";
import { describePlacement } from "./placement.ts";
import { parseDuration, parseSize } from "./quantity.ts";
import { entries, knownKeys, NOT_YET, sections } from "./schema.ts";

const text = readFileSync(join(import.meta.dirname, "../../docs/configuration.md"), "utf8");
const examples = Array.from(text.matchAll(/```yaml\n([\s\S]*?)```/g), (match) => match[1]);
const rows = new Map(Array.from(text.matchAll(/^\| `([^`]+)` \|.*\| (.*) \|$/gm), (match) => [match[1], match[2]]));

/** Every key that holds a value, as the table writes it. */
function valueKeys(path: readonly PropertyKey[], written: string): string[] {
  const inside = knownKeys(path);
  const isByName = inside.length === 0 && knownKeys([...path, "NAME"]).length > 0;
  if (isByName) return valueKeys([...path, "NAME"], `${written}.NAME`);
  if (inside.length === 0) return [written];
  return inside.flatMap((key) => valueKeys([...path, key], `${written}.${key}`));
}

const keys = Object.keys(sections).flatMap((section) => {
  if (Object.hasOwn(entries, section)) return valueKeys([section, "NAME"], `${section}.NAME`);
  return section === "drives" ? ["drives", ...valueKeys([section, 0], "drives[]")] : valueKeys([section], section);
});

const NETWORK = sections.network.unwrap().parse({ interfaces: { a: {} }, bonds: { b: { interfaces: ["a"] } } });

describe("docs/configuration.md", () => {
  it("describes every key", () => {
    expect(keys).toContain("arrays.NAME.chunk");
    expect(keys.filter((key) => !rows.has(key))).toEqual([]);
  });

  it("describes no key that there is not", () => {
    const ofTable = [...rows.keys()].filter((row) => /[.[]/.test(row) && !row.startsWith("/"));
    const codes = /^(legs|placement|target\.(open|unbound)|array\.|drive\.|site\.unused)/;
    expect(ofTable.filter((row) => !keys.includes(row) && !codes.test(row))).toEqual([]);
  });

  it("gives the defaults that are taken", () => {
    const plain = parseConfig(
      `{ site: { name: a }, group: g, role: primary, drives: [/a], arrays: { m: { level: 1, drives: [0] } }, volumes: { v: { array: m, size: 1MiB, lun: 0 } },
         journal: { device: /j }, watchdog: {}, link: { listen: "a:1" }, target: { iqn: iqn.2001-04.a, listen: ["a:2"] } }`,
      "/x.yaml",
    );
    const written = (key: string) => (rows.get(key) ?? "").replaceAll("`", "");
    expect(parseSize(written("arrays.NAME.chunk"))).toBe(plain.arrays.m.chunk);
    expect(Number(written("volumes.NAME.blockSize"))).toBe(plain.volumes.v.blockSize);
    expect(parseSize(written("journal.window"))).toBe(plain.journal.window);
    expect(parseSize(written("journal.cache"))).toBe(plain.journal.cache);
    expect(written("journal.acknowledge")).toBe(plain.journal.acknowledge);
    expect(parseDuration(written("link.heartbeat"))).toBe(plain.link?.heartbeat);
    expect(parseDuration(written("link.silence"))).toBe(plain.link?.silence);
    expect(written("watchdog.device")).toBe(plain.watchdog?.device);
    expect(parseDuration(written("watchdog.timeout"))).toBe(plain.watchdog?.timeout);
    expect(Number(written("network.interfaces.NAME.mtu"))).toBe(NETWORK.interfaces.a.mtu);
    expect(written("network.bonds.NAME.mode")).toBe(NETWORK.bonds.b.mode);
    expect(written("control.socket").replace("SITE", "a")).toBe(plain.control.socket);
  });

  it("has examples that are valid, and of which nothing is to be said against the primary", () => {
    expect(examples).toHaveLength(5);
    const [primary] = examples.map((example) => parseConfig(example, "/x.yaml"));
    expect(describePlacement(primary).warnings).toEqual([]);
  });
});

it("no key is both there and not there yet", () => {
  for (const key of Object.keys(NOT_YET)) {
    const path = key.split(".");
    expect(knownKeys(path.slice(0, -1))).not.toContain(path.at(-1));
  }
});
