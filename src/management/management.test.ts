import { beforeEach, describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { instant, millis } from "../base/units.ts";
import { FOLDER, firmwareOf, IMAGE_KEYS, Machine, putSlots, ukiOf, updateOf } from "../firmware/firmware-testing.ts";
import type { HttpAnswer, HttpRequest } from "../platform/http.ts";
import { linuxSignatures, makeKeyPair, signerOf } from "../platform/linux/linux-signatures.ts";
import { MemoryFiles } from "../platform/memory/memory-files.ts";
import { type Credentials, Management } from "./management.ts";
import { UPDATE_BYTES_MAX, Upload } from "./upload.ts";

const { privateKey, publicKey } = makeKeyPair();
const signer = signerOf(privateKey, "test");
const PLACE = "/tmp/antipode-upload.update";
/** Of parts in which a body comes. */
const PART_BYTES = 700_000;

let files: MemoryFiles;
let now: number;
let events: string[];
let verdict: Awaited<ReturnType<Credentials["verify"]>>;
let upload: Upload;
let management: Management;

beforeEach(() => {
  files = new MemoryFiles();
  putSlots(files, ["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
  files.contents.set(IMAGE_KEYS, new TextEncoder().encode(publicKey));
  new Machine(files, () => true).start();
  now = 0;
  events = [];
  verdict = { kind: "right" };
  const clock = { now: () => instant(now), wallClock: () => now, after: () => ({ cancel() {} }), afterTurn() {} };
  const firmware = firmwareOf(files, linuxSignatures);
  const onEvent = (text: string) => events.push(text);
  upload = new Upload(files, firmware, clock, "/tmp", onEvent);
  management = new Management({ verify: async () => verdict }, firmware, upload, onEvent);
});

function update(version = "1.2.0"): Uint8Array {
  return updateOf(ukiOf(version, { filler: 3_000_000 }), version, signer, linuxSignatures);
}

async function* inParts(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PART_BYTES) yield bytes.subarray(at, at + PART_BYTES);
}

const ADA = `Basic ${new TextEncoder().encode("ada:love:lace").toBase64()}`;

function request(
  method: string,
  path: string,
  body: AsyncIterable<Uint8Array> = inParts(new Uint8Array(0)),
  headers: Readonly<Record<string, string>> = {},
): HttpRequest {
  const all: Readonly<Record<string, string>> = { authorization: ADA, ...headers };
  return { method, path, remote: "192.0.2.9:4711", header: (name) => all[name], body };
}

const put = (bytes: Uint8Array, body = inParts(bytes)) =>
  management.answer(request("PUT", "/firmware", body, { "content-length": String(bytes.length) }));

async function textOf({ body }: HttpAnswer): Promise<string> {
  let text = "";
  if (typeof body === "string") return body;
  for await (const part of body) text += part;
  return text;
}

async function refusal(pending: Promise<HttpAnswer>): Promise<string> {
  const answer = await pending;
  const { code, what, remedy } = JSON.parse(await textOf(answer));
  expect(what && remedy).toBeTruthy();
  return `${answer.status} ${code}`;
}

const status = async () => JSON.parse(await textOf(await management.answer(request("GET", "/firmware"))));
const slots = () => [...files.contents.keys()].filter((path) => path.startsWith(FOLDER)).sort();

describe("who sends no right password", () => {
  it("is told and can do nothing", async () => {
    const untouched = { [Symbol.asyncIterator]: () => expect.unreachable("its body is left alone") };
    for (const authorization of ["", "Bearer x", "Basic !", `Basic ${btoa("no colon")}`]) {
      const answer = management.answer(request("PUT", "/firmware", untouched, { authorization }));
      expect(await refusal(answer)).toBe("401 management.password");
    }
    verdict = { kind: "wrong" };
    expect(await refusal(management.answer(request("GET", "/nowhere")))).toBe("401 management.password");
    expect((await management.answer(request("GET", "/firmware"))).headers["www-authenticate"]).toMatch(/^Basic /);
    expect(events).toContain('a request as "ada" from 192.0.2.9:4711 was refused');
    expect(JSON.stringify(events)).not.toContain("love");
  });

  it("is told how long to wait after wrong ones", async () => {
    verdict = { kind: "too soon", wait: millis(3100) };
    const answer = await management.answer(request("GET", "/firmware"));
    expect(answer.headers["retry-after"]).toBe("4");
    expect(await refusal(Promise.resolve(answer))).toBe("429 management.wait");
  });

  it("is held to the whole of it", async () => {
    const given: string[] = [];
    const credentials: Credentials = {
      verify: async (name, password) => {
        given.push(name, password);
        return { kind: "wrong" };
      },
    };
    await new Management(credentials, firmwareOf(files, linuxSignatures), upload, () => {}).answer(request("GET", "/"));
    expect(given).toEqual(["ada", "love:lace"]);
  });
});

describe("requests", () => {
  it("for what is not there are refused with what is", async () => {
    expect(await refusal(management.answer(request("GET", "/")))).toBe("404 management.unknown");
    expect(await refusal(management.answer(request("DELETE", "/firmware")))).toBe("405 management.method");
    expect(await refusal(management.answer(request("constructor", "/firmware")))).toBe("405 management.method");
    expect(await textOf(await management.answer(request("POST", "/firmware")))).toContain("It has GET, PUT.");
  });

  it("for the firmware's state are answered with all of it", async () => {
    expect(await status()).toMatchObject({
      running: "1.1.0",
      next: "1.1.0",
      slots: [{ version: "1.1.0", running: true }, { version: "1.0.0" }],
      upload: { state: "none" },
    });
  });
});

describe("an update that is sent", () => {
  it("is installed, with progress, and nothing of it stays where it was kept", async () => {
    const answer = await put(update());
    expect(answer.status).toBe(200);
    const lines = (await textOf(answer))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(new Set(lines.slice(0, -1).map(({ what }) => what))).toEqual(
      new Set(["checking", "writing", "reading back"]),
    );
    expect(lines.at(-1)).toMatchObject({ kind: "result", firmware: { running: "1.1.0", next: "1.2.0" } });
    expect(slots()).toEqual([`${FOLDER}/antipode_1.1.0.efi`, `${FOLDER}/antipode_1.2.0+3.efi`]);
    expect(files.contents.has(PLACE)).toBe(false);
    expect(await status()).toMatchObject({ next: "1.2.0", upload: { state: "installed" } });
    expect(events.at(-1)).toBe("an update is installed: the next start will be of 1.2.0");
  });

  it("is refused for every reason that an installation has, under a fitting status, and can be sent again", async () => {
    const [sound, cut, forged] = [update(), update().subarray(0, 2_000_000), update()];
    forged[448] ^= 1;
    const foreign = updateOf(ukiOf("1.2.0"), "1.2.0", signer, linuxSignatures, { product: "toaster" });
    const stranger = signerOf(makeKeyPair().privateKey, "test");
    const cases: readonly (readonly [Uint8Array, string])[] = [
      [cut, "422 firmware.truncated"],
      [forged, "422 firmware.signature"],
      [foreign, "422 firmware.product"],
      [updateOf(ukiOf("1.2.0"), "1.2.0", stranger, linuxSignatures), "422 firmware.untrusted"],
      [new Uint8Array(1000), "422 firmware.foreign"],
      [new Uint8Array(0), "422 firmware.foreign"],
      [update("1.1.0"), "409 firmware.running"],
    ];
    for (const [bytes, expected] of cases) {
      expect(await refusal(put(bytes))).toBe(expected);
      expect(await status()).toMatchObject({ upload: { state: "refused", code: expected.slice(4) } });
      expect(files.contents.has(PLACE)).toBe(false);
    }
    expect(slots()).toEqual([`${FOLDER}/antipode_1.0.0.efi`, `${FOLDER}/antipode_1.1.0.efi`]);
    expect((await put(sound)).status).toBe(200);
  });

  it("is told of in the last line where it fails once it is under way", async () => {
    files.rename = async () => {
      throw failure();
    };
    const lines = (await textOf(await put(update()))).trimEnd().split("\n");
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ kind: "error", code: "file.failed" });
    expect(await status()).toMatchObject({ running: "1.1.0", upload: { state: "refused", code: "file.failed" } });
  });

  it("is not taken where its length is unknown, or more than any update has, or more than there is room for", async () => {
    const withLength = (length?: string) =>
      refusal(management.answer(request("PUT", "/firmware", undefined, length ? { "content-length": length } : {})));
    expect(await withLength()).toBe("411 management.length");
    expect(await withLength("-1")).toBe("411 management.length");
    expect(await withLength(String(UPDATE_BYTES_MAX + 1))).toBe("413 management.too-large");
    files.capacity = 2_000_000;
    expect(await refusal(put(update()))).toBe("507 management.no-room");
    expect(files.contents.has(PLACE)).toBe(false);
  });

  it("keeps others out until it is over, and its state can be asked meanwhile", async () => {
    const bytes = update();
    let goOn = () => {};
    async function* halting() {
      yield bytes.subarray(0, 100);
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      yield bytes.subarray(100);
    }
    const first = put(bytes, halting());
    await expect.poll(status).toMatchObject({ upload: { state: "under way", what: "receiving", done: 100 } });
    expect(await refusal(put(bytes))).toBe("409 management.busy");
    goOn();
    expect((await first).status).toBe(200);
    await upload.installed();
    expect(await status()).toMatchObject({ next: "1.2.0" });
  });

  it("is forgotten where it breaks off, or comes by drops", async () => {
    async function* breaking() {
      yield new Uint8Array(10);
      throw failure();
    }
    async function* dripping() {
      for (;;) {
        now += 60_000;
        yield new Uint8Array(1);
      }
    }
    expect(await refusal(put(update(), breaking()))).toBe("500 file.failed");
    expect(await refusal(put(update(), dripping()))).toBe("408 management.slow");
    expect(files.contents.has(PLACE)).toBe(false);
    expect((await put(update())).status).toBe(200);
  });

  it("that a process before this one left is removed", async () => {
    files.contents.set(PLACE, new Uint8Array(10));
    await upload.tidy();
    expect(files.contents.has(PLACE)).toBe(false);
  });
});

function failure(): OperatingError {
  return new OperatingError("file.failed", "The drive is gone.", "Get another one.");
}
