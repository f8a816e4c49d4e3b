import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bootOrder, formatSlotName, parseSlotName, type SlotName } from "./slot-name.ts";
import { compareVersions, parseVersion, type Version } from "./version.ts";

const number = fc.nat(99999);
const versions = fc.tuple(number, number, number).map((numbers) => numbers.join(".") as Version);
const tries = fc.option(fc.record({ left: fc.nat(999), done: fc.nat(999) }), { nil: undefined });
const names: fc.Arbitrary<SlotName> = fc.record({ version: versions, tries });

describe("versions", () => {
  it("are three numbers and nothing else", () => {
    for (const text of ["1.2.3", "0.0.0", "10.20.99999"]) expect(parseVersion(text)).toBe(text);
    for (const text of ["1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.2.3-rc.1", "1.2.3+4", "1.2.100000", "1.2.3\n", ""]) {
      expect(parseVersion(text), text).toBeUndefined();
    }
  });

  it("are ordered by number, not by letter", () => {
    expect(compareVersions("1.10.0" as Version, "1.9.9" as Version)).toBeGreaterThan(0);
    fc.assert(
      fc.property(versions, versions, (a, b) => {
        expect(Math.sign(compareVersions(a, b))).toBe(0 - Math.sign(compareVersions(b, a)) + 0);
        expect(compareVersions(a, b) === 0).toBe(a === b);
      }),
    );
  });
});

describe("names of slots", () => {
  it.each([
    ["antipode_1.2.3.efi", "1.2.3", undefined],
    ["antipode_1.2.3+3.efi", "1.2.3", { left: 3, done: 0 }],
    ["antipode_1.2.3+2-1.efi", "1.2.3", { left: 2, done: 1 }],
    ["antipode_1.2.3+0-4.efi", "1.2.3", { left: 0, done: 4 }],
    ["antipode_1.2.3+2-0.efi", "1.2.3", { left: 2, done: 0 }],
  ])("%s is read", (name, version, counted) => {
    expect(parseSlotName(name)).toEqual({ version, tries: counted });
  });

  it.each([
    "antipode_1.2.3",
    "antipode_1.2.efi",
    "antipode_1.2.3+.efi",
    "antipode_1.2.3+-1.efi",
    "antipode_1.2.3+2-.efi",
    "antipode_1.2.3+2-1-1.efi",
    "antipode_1.2.3+x.efi",
    "antipode-1.2.3.efi",
    "other_1.2.3.efi",
    "antipode_1.2.3.efi.part",
    "antipode.incoming",
  ])("%s is none", (name) => expect(parseSlotName(name)).toBeUndefined());

  it("are read as they were made", () => {
    fc.assert(
      fc.property(names, (name) => {
        expect(parseSlotName(formatSlotName(name))).toEqual(name);
      }),
    );
  });

  it("are never made of anything else", () => {
    const pieces = fc.constantFrom("antipode_", "1.2.3", "0", "+", "-", "2", ".", ".efi", "\n", "é", " ");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces).map((parts) => parts.join("")),
        ),
        (text) => {
          const name = parseSlotName(text);
          if (name === undefined) return;
          expect(text.startsWith(`antipode_${name.version}`) && text.endsWith(".efi")).toBe(true);
          expect(parseSlotName(formatSlotName(name))).toEqual(name);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("put what has no tries left last, then the newer version first, then the one tried less", () => {
    const order = [
      "antipode_1.10.0+1-2.efi",
      "antipode_1.9.0.efi",
      "antipode_1.8.0+3.efi",
      "antipode_1.8.0+2-1.efi",
      "antipode_1.8.0+2-2.efi",
      "antipode_2.0.0+0.efi",
      "antipode_1.9.1+0-3.efi",
    ];
    const parse = (name: string) => parseSlotName(name) ?? expect.fail(name);
    const sorted = [...order].reverse().sort((a, b) => bootOrder(parse(a), parse(b)));
    expect(sorted).toEqual(order);
  });

  it("are ordered without contradiction", () => {
    fc.assert(
      fc.property(names, names, names, (a, b, c) => {
        expect(Math.sign(bootOrder(a, b))).toBe(0 - Math.sign(bootOrder(b, a)) + 0);
        if (bootOrder(a, b) < 0 && bootOrder(b, c) < 0) expect(bootOrder(a, c)).toBeLessThan(0);
      }),
    );
  });
});
