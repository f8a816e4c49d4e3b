import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";
import { describePlacement, distanceKm } from "./placement.ts";

const denver = { latitude: 39.74, longitude: -104.99 };
const boulder = { latitude: 40.015, longitude: -105.27 };
const boston = { latitude: 42.36, longitude: -71.06 };

function primary(more: string): string {
  return `
site: { name: denver, location: { latitude: 39.74, longitude: -104.99 } }
group: prod
role: primary
drives: [/dev/a, /dev/b]
arrays: { main: { level: 1, drives: [0, 1] } }
volumes: { db01: { array: main, size: 1GiB, lun: 0 } }
journal: { device: /dev/j }
target: { iqn: "iqn.2026-11.dev.antipode:prod", listen: ["127.0.0.1:3260"] }
${more}`;
}

const codes = (more: string, change = (text: string) => text) =>
  describePlacement(parseConfig(change(primary(more)), "x.yaml")).warnings.map(({ code }) => code);

describe("distance", () => {
  it("is the great circle's", () => {
    expect(distanceKm(denver, boulder)).toBeCloseTo(38.8, 0);
    expect(distanceKm(denver, boston)).toBeCloseTo(2841.15, 1);
    expect(distanceKm({ latitude: 0, longitude: 179.5 }, { latitude: 0, longitude: -179.5 })).toBeCloseTo(111.195, 2);
    expect(distanceKm({ latitude: 90, longitude: 0 }, { latitude: -90, longitude: 77 })).toBeCloseTo(20015.1, 1);
  });

  it("is symmetric, never negative, and zero only in place", () => {
    const place = fc.record({
      latitude: fc.double({ min: -90, max: 90, noNaN: true }),
      longitude: fc.double({ min: -180, max: 180, noNaN: true }),
    });
    fc.assert(
      fc.property(place, place, (a, b) => {
        expect(distanceKm(a, b)).toBeCloseTo(distanceKm(b, a), 6);
        expect(distanceKm(a, b)).toBeGreaterThanOrEqual(0);
        expect(distanceKm(a, b)).toBeLessThanOrEqual(20016);
        expect(distanceKm(a, a)).toBe(0);
      }),
    );
  });
});

describe("placement", () => {
  const far = "{ latitude: 42.36, longitude: -71.06 }";
  const further = "{ latitude: 51.5, longitude: -0.12 }";

  it("has nothing against two distant sites", () => {
    const config = parseConfig(
      primary(`sites: { boston: { address: "b:1", location: ${far} }, london: { address: "l:1", location: ${further} } }
mirror: { legs: [[boston], [london]] }`),
      "x.yaml",
    );
    const { distances, warnings } = describePlacement(config);
    expect(warnings).toEqual([]);
    expect(distances.map(({ from, to, kilometres }) => `${from} ${to} ${Math.round(kilometres)}`)).toEqual([
      "denver boston 2841",
      "denver london 7541",
      "boston london 5265",
    ]);
  });

  it("warns of sites that one disaster can take, of remote ones among themselves too", () => {
    const close = "{ latitude: 42.4, longitude: -71.1 }";
    const sites = `sites: { boston: { address: "b:1", location: ${far} }, salem: { address: "s:1", location: ${close} } }`;
    const { warnings } = describePlacement(
      parseConfig(primary(`${sites}\nmirror: { legs: [[boston], [salem]] }`), "x.yaml"),
    );
    expect(warnings.map(({ text }) => text)).toEqual([
      "boston and salem are 5.5 km apart, so one disaster can take both; put them at least 50 km apart.",
    ]);
  });

  it("warns of a single site, of a single leg, and of unknown locations", () => {
    expect(codes("")).toEqual(["legs.none"]);
    expect(codes('sites: { b: { address: "b:1" } }\nmirror: { legs: [[b]] }')).toEqual([
      "legs.few",
      "placement.unknown",
    ]);
    expect(codes("", (text) => text.replace(/, location.*/, " }"))).toEqual(["legs.none", "placement.unknown"]);
  });

  it("warns of what is listed and not used, and of a target that is open to all", () => {
    expect(codes("", (text) => text.replace("[/dev/a, /dev/b]", "[/dev/a, /dev/b, /dev/c]"))).toContain("drive.unused");
    expect(codes("", (text) => text.replace("[0, 1]", "[0]"))).toEqual(["legs.none", "drive.unused", "array.single"]);
    expect(codes(`sites: { b: { address: "b:1", location: ${far} } }`)).toContain("site.unused");
    expect(codes("", (text) => text.replace("127.0.0.1:3260", "0.0.0.0:3260"))).toContain("target.open");
    const named = (text: string) =>
      text.replace('["127.0.0.1:3260"]', '["0.0.0.0:3260"], initiators: ["iqn.1993-08.org.debian:01:a"]');
    expect(codes("", named)).not.toContain("target.open");
    const hosts = (user: string) => (text: string) =>
      text.replace(
        '["127.0.0.1:3260"]',
        `["0.0.0.0:3260"], hosts: { a: { initiators: [iqn.2001-04.a] } }, chap: { users: [{ user: a, secret: correct-horse${user} }] }`,
      );
    expect(codes("", hosts(""))).toContain("target.unbound");
    const bound = codes("", hosts(", initiators: [iqn.2001-04.a]"));
    expect(bound.filter((code) => code.startsWith("target"))).toEqual([]);
  });
});
