import { describe, expect, it } from "vitest";
import type { DataWriteRequest } from "../base/data-write-request.ts";
import { BLOCK_BYTES, epoch, lba, sequence, volumeId } from "../base/units.ts";
import { answerCall, askChecksums, askFetch, askPosition, askRead, type Call, type CallHandlers } from "./calls.ts";

const request: DataWriteRequest = {
  kind: "write",
  epoch: epoch(3),
  sequence: sequence(17),
  volume: volumeId(2),
  lba: lba(40),
  blocks: 2,
  checksums: Uint32Array.of(1, 0xffffffff),
  data: new Uint8Array(2 * BLOCK_BYTES).fill(7),
};
const start: DataWriteRequest = {
  ...request,
  kind: "epoch-start",
  sequence: sequence(18),
  blocks: 0,
  checksums: new Uint32Array(0),
  data: new Uint8Array(0),
};

const handlers: CallHandlers = {
  position: () => ({
    promised: epoch(4),
    lastEpoch: epoch(3),
    appended: sequence(18),
    retired: sequence(2),
    committed: sequence(9),
    history: [{ epoch: epoch(3), start: sequence(18) }],
  }),
  fetch: async () => [request, start],
  cut: async () => {},
  checksums: async ({ blocks }) => [
    { site: "a", state: "stored", checksums: new Array(blocks).fill(5) },
    { site: "b", state: "unknown", code: "raid.unreadable", reason: "away" },
  ],
  read: async (_volume, _lba, into) => {
    into.fill(3);
  },
};
const call: Call = (method, body) => answerCall(handlers, method, body);

describe("calls between sites", () => {
  it("carry positions, requests, checksums and blocks unchanged", async () => {
    expect(await askPosition(call)).toEqual(handlers.position());
    expect(await askFetch(call, sequence(17))).toMatchObject([request, start]);
    const question = { volume: volumeId(2), lba: lba(0), blocks: 3, atLeast: sequence(1) };
    expect(await askChecksums(call, question)).toEqual(await handlers.checksums(question));
    const into = new Uint8Array(2 * BLOCK_BYTES);
    await askRead(call, volumeId(2), lba(8), into);
    expect(into.every((byte) => byte === 3)).toBe(true);
  });

  it("refuse what they can't understand, on either side", async () => {
    const bad = new TextEncoder().encode('{"from":-1}');
    await expect(answerCall(handlers, "fetch", bad)).rejects.toMatchObject({ code: "link.malformed" });
    await expect(answerCall(handlers, "fetch", new Uint8Array([0xff]))).rejects.toMatchObject({
      code: "link.malformed",
    });
    await expect(answerCall(handlers, "format", new Uint8Array(0))).rejects.toMatchObject({ code: "link.malformed" });
    const huge = new TextEncoder().encode('{"volume":1,"lba":0,"blocks":1000000}');
    await expect(answerCall(handlers, "read", huge)).rejects.toMatchObject({ code: "link.malformed" });
    const answers =
      (body: Uint8Array): Call =>
      async () =>
        body;
    await expect(askPosition(answers(new Uint8Array(3)))).rejects.toMatchObject({ code: "link.malformed" });
    await expect(askFetch(answers(new Uint8Array(0)), sequence(1))).rejects.toMatchObject({ code: "link.malformed" });
    const whole = await call("fetch", new TextEncoder().encode('{"from":17}'), 1 as never);
    const cut = answers(whole.subarray(0, 5000));
    await expect(askFetch(cut, sequence(17))).rejects.toMatchObject({ code: "link.malformed" });
  });
});
