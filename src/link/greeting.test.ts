import { describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { volumeId } from "../base/units.ts";
import { decodeHello, decodeRefusal, disagreement, encodeHello, encodeRefusal, type Hello } from "./greeting.ts";
import { VOLUMES } from "./test-sites.ts";

const hello: Hello = {
  versions: [1, 1],
  site: "denver",
  to: "boulder",
  group: "prod",
  session: "00112233445566778899aabbccddeeff",
  channel: "data",
  heartbeat: 500,
  silence: 3000,
  volumes: VOLUMES,
};
const answer: Hello = { ...hello, site: "boulder", to: "denver" };
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

describe("HELLO", () => {
  it("has this form", () => {
    expect(new TextDecoder().decode(encodeHello(hello))).toBe(
      '{"versions":[1,1],"site":"denver","to":"boulder","group":"prod","session":"00112233445566778899aabbccddeeff",' +
        '"channel":"data","heartbeat":500,"silence":3000,"volumes":[{"id":0,"name":"db01","blocks":100000}]}',
    );
    expect(decodeHello(encodeHello(hello))).toEqual(hello);
  });

  it("may say more than this site knows", () => {
    expect(decodeHello(json({ ...hello, compression: "none" }))).toEqual(hello);
  });

  it.each<[string, unknown]>([
    ["nothing", ""],
    ["a list", []],
    ["no versions", { ...hello, versions: [1] }],
    ["no site", { ...hello, site: "" }],
    ["a number for a name", { ...hello, group: 7 }],
    ["a name without end", { ...hello, site: "x".repeat(256) }],
    ["a short session", { ...hello, session: "00" }],
    ["another channel", { ...hello, channel: "audio" }],
    ["no heartbeat", { ...hello, heartbeat: undefined }],
    ["a silence of no whole number", { ...hello, silence: 0.5 }],
    ["no volumes", { ...hello, volumes: undefined }],
    ["a volume that is none", { ...hello, volumes: [null] }],
    ["a volume id out of range", { ...hello, volumes: [{ id: 65536, name: "a", blocks: 1 }] }],
    ["a volume of no whole size", { ...hello, volumes: [{ id: 1, name: "a", blocks: 1.5 }] }],
  ])("with %s is refused", (_, value) => {
    expect(decodeHello(json(value))).toMatchObject({ code: "link.protocol" });
  });

  it("does not take more volumes than fit", () => {
    const volumes = Array.from({ length: 3000 }, (_, id) => ({ id: volumeId(id), name: `volume${id}`, blocks: 1 }));
    expect(() => encodeHello({ ...hello, volumes })).toThrow(/3000 volumes/);
  });
});

describe("two sites", () => {
  it("agree", () => {
    expect(disagreement(hello, answer, "boulder")).toBeUndefined();
    expect(disagreement(hello, { ...answer, versions: [1, 9] }, "boulder")).toBeUndefined();
  });

  it.each<[string, Partial<Hello>]>([
    ["link.version", { versions: [2, 9] }],
    ["link.version", { versions: [0, 0] }],
    ["link.group", { group: "test" }],
    ["link.site", { site: "pueblo" }],
    ["link.site", { to: "springs" }],
    ["link.timings", { heartbeat: 1501 }],
    ["link.timings", { silence: 999 }],
  ])("disagree: %s", (code, change) => {
    expect(disagreement(hello, { ...answer, ...change }, "boulder")).toMatchObject({ code });
  });
});

describe("REFUSE", () => {
  it("carries code, text and remedy, and whether to come back soon", () => {
    const error = new OperatingError("link.group", "The groups differ.", "Check them.");
    expect(decodeRefusal(encodeRefusal({ error, slow: false }), "boulder")).toMatchObject({
      error: { code: "link.group", what: "Site boulder refused: The groups differ.", remedy: "Check them." },
      slow: false,
    });
  });

  it("of any other content is a refusal all the same", () => {
    for (const payload of [new Uint8Array(0), json(5), json({ code: "DROP TABLE", what: 7, slow: "no" })]) {
      expect(decodeRefusal(payload, "boulder")).toMatchObject({ error: { code: "link.refused" }, slow: true });
    }
  });
});
