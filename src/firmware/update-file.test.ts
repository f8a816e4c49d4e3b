import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isOperatingError } from "../base/operating-error.ts";
import { linuxSignatures, makeKeyPair, signerOf } from "../platform/linux/linux-signatures.ts";
import { MemoryFiles } from "../platform/memory/memory-files.ts";
import type { Signer } from "../platform/signatures.ts";
import { checkUpdate, type Judge } from "./check-update.ts";
import { FORMATS, IN_USE, ukiOf, updateOf, version } from "./firmware-testing.ts";
import { osReleaseOf } from "./uki.ts";
import { encodeHead, type Manifest, PRODUCT, putSignature } from "./update-file.ts";
import type { Version } from "./version.ts";
import { writeUpdate } from "./write-update.ts";

const PATH = "/usb/antipode.update";
const pair = makeKeyPair();
const signer = signerOf(pair.privateKey, "key");
const judge: Judge = { signatures: linuxSignatures, keys: [signer.key], inUse: IN_USE };
const OS_RELEASE = osReleaseOf({ version: version("1.2.3"), formats: FORMATS }).replace(/^PRETTY_NAME.*\n/m, "");
const payload = ukiOf("1.2.3");
const update = updateOf(payload, "1.2.3", signer, linuxSignatures);

async function check(bytes: Uint8Array, by: Judge = judge): Promise<Manifest> {
  const files = new MemoryFiles();
  files.contents.set(PATH, bytes);
  return checkUpdate(files, PATH, by, () => {});
}

async function codeOf(pending: Promise<unknown>): Promise<string> {
  try {
    await pending;
  } catch (error) {
    if (isOperatingError(error)) return error.code;
    throw error;
  }
  return "none";
}

/** An update whose manifest says something else, rightly signed. */
function saying(other: Partial<Manifest>, by: Signer = signer): Uint8Array {
  return updateOf(payload, "1.2.3", by, linuxSignatures, other);
}

describe("an update file", () => {
  it("keeps its format: golden bytes", () => {
    const manifest = {
      product: PRODUCT,
      version: version("1.22.333"),
      formats: FORMATS,
      payloadBytes: 0x3456789,
      payloadSha256: Uint8Array.from({ length: 32 }, (_, at) => 0x20 + at),
    };
    const head = encodeHead(
      manifest,
      Uint8Array.from({ length: 32 }, (_, at) => 0x60 + at),
    );
    putSignature(
      head,
      Uint8Array.from({ length: 64 }, (_, at) => 0x80 + at),
    );
    const rows = Array.from({ length: head.length / 16 }, (_, row) => head.subarray(row * 16, row * 16 + 16));
    const shown = rows.flatMap((bytes, row) =>
      bytes.some((byte) => byte !== 0) ? [`${(row * 16).toString(16)} ${Buffer.from(bytes).toString("hex")}`] : [],
    );
    expect(shown).toMatchInlineSnapshot(`
      [
        "0 414e545046524d570100000000000000",
        "10 616e7469706f6465207838362d363400",
        "30 312e32322e3333330000000000000000",
        "50 03000200010002000200020000000000",
        "60 89674503000000002021222324252627",
        "70 28292a2b2c2d2e2f3031323334353637",
        "80 38393a3b3c3d3e3f0000000000000000",
        "1a0 606162636465666768696a6b6c6d6e6f",
        "1b0 707172737475767778797a7b7c7d7e7f",
        "1c0 808182838485868788898a8b8c8d8e8f",
        "1d0 909192939495969798999a9b9c9d9e9f",
        "1e0 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
        "1f0 b0b1b2b3b4b5b6b7b8b9babbbcbdbebf",
      ]
    `);
  });

  it("says what it is once it is verified", async () => {
    expect(await check(update)).toMatchObject({ version: "1.2.3", product: PRODUCT, formats: FORMATS });
  });

  it("is made of an image, and checks out", async () => {
    const files = new MemoryFiles();
    files.contents.set("/image.efi", payload);
    await writeUpdate(files, "/image.efi", PATH, { signer, signatures: linuxSignatures }, () => {});
    expect(files.contents.get(PATH)).toEqual(update);
    const onto = writeUpdate(files, PATH, PATH, { signer, signatures: linuxSignatures }, () => {});
    expect(await codeOf(onto)).toBe("firmware.image");
    expect(files.contents.get(PATH)).toEqual(update);
  });

  it.each([
    ["that is no image", new Uint8Array(1000)],
    ["that ends early", ukiOf("1.2.3").subarray(0, 100)],
    ["for another processor", ukiOf("1.2.3").map((byte, at) => (at === 68 ? 0 : byte))],
    ["of another system", ukiOf("1.2.3", { osRelease: OS_RELEASE.replace(/antipode$/gm, "debian") })],
    ["without a version", ukiOf("1.2.3", { osRelease: OS_RELEASE.replace(/IMAGE_VERSION=.*/, "") })],
    ["of a version that is none", ukiOf("1.2.3", { osRelease: OS_RELEASE.replace("1.2.3", "1.2.3-rc.1") })],
    ["that hides its formats", ukiOf("1.2.3", { osRelease: OS_RELEASE.replace(/ANTIPODE_ARRAY.*/, "") })],
    ["with half a range", ukiOf("1.2.3", { osRelease: OS_RELEASE.replace("1-2", "1-") })],
  ])("is not made of an image %s, and one that was is refused", async (_, image) => {
    const files = new MemoryFiles();
    files.contents.set("/image.efi", image);
    const made = writeUpdate(files, "/image.efi", PATH, { signer, signatures: linuxSignatures }, () => {});
    expect(await codeOf(made)).toBe("firmware.image");
    expect(files.contents.has(PATH)).toBe(false);
    expect(await codeOf(check(updateOf(image, "1.2.3", signer, linuxSignatures)))).toBe("firmware.unsound");
  });
});

describe("what is refused", () => {
  const stranger = signerOf(makeKeyPair().privateKey, "key");

  it.each<[string, string, Uint8Array]>([
    ["firmware.foreign", "something else", new Uint8Array(1000)],
    ["firmware.foreign", "nothing at all", new Uint8Array(0)],
    ["firmware.untrusted", "a stranger's signature", saying({}, stranger)],
    ["firmware.product", "another product", saying({ product: "antipode arm64" })],
    ["firmware.unsound", "a version that is none", saying({ version: "1.2.3-rc.1" as Version })],
    ["firmware.unsound", "an empty range", saying({ formats: { ...FORMATS, journal: { lowest: 2, highest: 1 } } })],
    ["firmware.unsound", "no image", saying({ payloadBytes: 0 })],
    ["firmware.unsound", "an image beyond all size", saying({ payloadBytes: 2 ** 40 })],
    ["firmware.truncated", "more than is there", saying({ payloadBytes: payload.length + 1 })],
    ["firmware.damaged", "less than is there", saying({ payloadBytes: payload.length - 1 })],
    ["firmware.damaged", "another image", saying({ payloadSha256: new Uint8Array(32) })],
    [
      "firmware.unsound",
      "an image of other formats",
      saying({ formats: { ...FORMATS, array: { lowest: 1, highest: 2 } } }),
    ],
    ["firmware.unsound", "an image of another version", saying({ version: version("1.2.4") })],
  ])("as %s: %s", async (code, _, bytes) => expect(await codeOf(check(bytes))).toBe(code));

  it("a newer format, before anything else of it is looked at", async () => {
    const newer = update.slice();
    newer[8] = 2;
    expect(await codeOf(check(newer))).toBe("firmware.format");
    expect(await codeOf(check(newer.subarray(0, 20)))).toBe("firmware.format");
  });

  it("a signature over something else, by a key that is trusted", async () => {
    const forged = update.slice();
    forged.set(new TextEncoder().encode("9.9.9"), 48);
    expect(await codeOf(check(forged))).toBe("firmware.signature");
  });

  it.each([
    ["configurations up to format 3, and this appliance's has format 4", { ...IN_USE, configuration: 4 }],
    ["journals of format 1 to 2, and this appliance has one of format 3", { ...IN_USE, journals: [1, 3] }],
    ["arrays of format 2, and this appliance has one of format 3", { ...IN_USE, arrays: [3] }],
    ["arrays of format 2, and this appliance has one of format 1", { ...IN_USE, arrays: [2, 1] }],
  ])("firmware that reads %s", async (what, inUse) => {
    const refusal = { code: "firmware.downgrade", what: expect.stringContaining(`Firmware 1.2.3 reads ${what}.`) };
    await expect(check(update, { ...judge, inUse })).rejects.toMatchObject(refusal);
  });

  it("every file that is cut short, wherever", async () => {
    for (let length = 0; length < update.length; length++) {
      const code = await codeOf(check(update.subarray(0, length)));
      expect(code, `cut to ${length}`).toBe(length < 12 ? "firmware.foreign" : "firmware.truncated");
    }
  });

  it("every file with one byte changed, whichever: there is none that does not matter", async () => {
    const seen = new Set<string>();
    for (let at = 0; at < update.length; at++) {
      for (const change of [0x01, 0x80, 0xff]) {
        const changed = update.slice();
        changed[at] ^= change;
        const code = await codeOf(check(changed));
        expect(code, `byte ${at}`).not.toBe("none");
        seen.add(code);
      }
    }
    expect([...seen].sort()).toEqual([
      "firmware.damaged",
      "firmware.foreign",
      "firmware.format",
      "firmware.signature",
      "firmware.untrusted",
    ]);
  });

  it("every file with any bytes changed, put in or taken out", async () => {
    const edit = fc.record({ at: fc.nat(update.length), cut: fc.nat(40), put: fc.uint8Array({ maxLength: 40 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
        let bytes = update;
        for (const { at, cut, put } of edits) {
          bytes = Uint8Array.from([...bytes.subarray(0, at), ...put, ...bytes.subarray(at + cut)]);
        }
        const isSame = Buffer.compare(bytes, update) === 0;
        expect((await codeOf(check(bytes))) === "none").toBe(isSame);
      }),
      { numRuns: 300 },
    );
  });
});

describe("an image", () => {
  it("of any bytes is read or refused, never more than that", async () => {
    const changes = fc.array(fc.record({ at: fc.nat(139), to: fc.nat(255) }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(changes, async (list) => {
        const image = payload.slice();
        for (const { at, to } of list) image[at] = to;
        const code = await codeOf(check(updateOf(image, "1.2.3", signer, linuxSignatures)));
        expect(["none", "firmware.unsound"]).toContain(code);
      }),
      { numRuns: 300 },
    );
  });
});
