import { describe, expect, it } from "vitest";
import { descriptorBytes, encodeDescriptor } from "../base/data-write-request.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import { plainArithmetic } from "../platform/plain-arithmetic.ts";
import {
  AckNumbers,
  beginHeader,
  checkHeader,
  FrameType,
  Header,
  MessageNumbers,
  REQUEST_PAYLOAD_MAX,
  StreamNumbers,
  sealHeader,
  WelcomeNumbers,
} from "./frame.ts";
import { makeRequest } from "./test-sites.ts";

function header(
  type: FrameType,
  epoch: number,
  payload: Uint8Array,
  fill: (view: DataView, numbers: number) => void,
  tag = 0,
  flags = 0,
): Uint8Array {
  const bytes = new Uint8Array(Header.size).fill(0xff);
  const view = new DataView(bytes.buffer);
  beginHeader(view, 0, type, epoch, payload.length, tag, flags);
  fill(view, Header.numbers.offset);
  sealHeader(plainArithmetic, bytes, view, 0, plainArithmetic.crc32c(payload));
  return bytes;
}

const nothing = new Uint8Array(0);

describe("golden headers", () => {
  const text = new TextEncoder().encode("verify");
  const cases: readonly (readonly [string, Uint8Array, string])[] = [
    [
      "WELCOME",
      header(FrameType.WELCOME, 7, nothing, (view, at) => {
        WelcomeNumbers.lastEpoch.set(view, at, 6);
        WelcomeNumbers.appended.set(view, at, 0x123456789ab);
        WelcomeNumbers.creditLimit.set(view, at, 1 << 20);
      }),
      "414c4e4b01030000000000000000000007000000000000000600000000000000ab89674523010000000010000000000000000000000000000000000031a14e1b",
    ],
    [
      "COMMIT",
      header(FrameType.COMMIT, 7, nothing, (view, at) => StreamNumbers.committed.set(view, at, 99)),
      "414c4e4b01060000000000000000000007000000000000000000000000000000630000000000000000000000000000000000000000000000000000002b89cb57",
    ],
    [
      "ACK",
      header(FrameType.ACK, 7, nothing, (view, at) => {
        AckNumbers.hop.set(view, at, 3);
        AckNumbers.end.set(view, at, 2);
        AckNumbers.creditLimit.set(view, at, 0x100000000);
        AckNumbers.received.set(view, at, 4096);
      }),
      "414c4e4b01070000000000000000000007000000000000000300000000000000020000000000000000000000010000000010000000000000000000006c8bacc8",
    ],
    [
      "CALL",
      header(FrameType.CALL, 2 ** 40 + 1, text, (view, at) => MessageNumbers.bodyBytes.set(view, at, 5), 0xdeadbeef, 1),
      "414c4e4b010a010006000000d06dcaf001000000000100000500000000000000000000000000000000000000000000000000000000000000efbeadded86464f2",
    ],
  ];

  it.each(cases)("%s", (_, bytes, golden) => {
    expect(Buffer.from(bytes).toString("hex")).toBe(golden);
  });

  it("REQUEST: header, descriptor, checksums, then data", () => {
    const request = makeRequest(5, 2, 3);
    const described = descriptorBytes(2);
    const bytes = new Uint8Array(Header.size + described);
    const view = new DataView(bytes.buffer);
    beginHeader(view, 0, FrameType.REQUEST, 4, described + request.data.length);
    StreamNumbers.sequence.set(view, Header.numbers.offset, 5);
    StreamNumbers.committed.set(view, Header.numbers.offset, 4);
    encodeDescriptor(view, Header.size, request);
    sealHeader(plainArithmetic, bytes, view, 0, plainArithmetic.crc32c(bytes.subarray(Header.size)));
    expect(Buffer.from(bytes).toString("hex")).toBe(
      "414c4e4b0105000030200000670da2e3040000000000000005000000000000000400000000000000000000000000000000000000000000000000000048aa3e630000000002000000030000000000000005000000000000002300000000000000000000000000000030e28b561b07d483",
    );
    expect(REQUEST_PAYLOAD_MAX).toBe(40 + 256 * (4 + BLOCK_BYTES));
  });
});

describe("a header is refused", () => {
  const good = () => header(FrameType.COMMIT, 1, nothing, () => {});
  const check = (bytes: Uint8Array) => checkHeader(plainArithmetic, bytes, new DataView(bytes.buffer), 0)?.code;
  const reseal = (bytes: Uint8Array) => {
    const view = new DataView(bytes.buffer);
    Header.headerCrc.set(view, 0, plainArithmetic.crc32c(bytes.subarray(0, 60)));
    return bytes;
  };

  it("never when it is good", () => {
    expect(check(good())).toBeUndefined();
  });

  it("for every single flipped bit", () => {
    for (let bit = 0; bit < Header.size * 8; bit++) {
      const bytes = good();
      bytes[bit >> 3] ^= 1 << (bit & 7);
      expect(check(bytes)).toBe(bit < 32 ? "link.garbage" : "link.corrupt");
    }
  });

  it.each<[string, string, (view: DataView) => void]>([
    ["an unknown version", "link.version", (view) => Header.version.set(view, 0, 2)],
    ["an unknown type", "link.type", (view) => Header.type.set(view, 0, 12)],
    ["type 0", "link.type", (view) => Header.type.set(view, 0, 0)],
    ["a payload where there is none", "link.oversized", (view) => Header.payloadBytes.set(view, 0, 1)],
    ["a number beyond 2^53", "link.protocol", (view) => view.setUint32(Header.numbers.offset + 28, 0x200000, true)],
    ["an epoch beyond 2^53", "link.protocol", (view) => view.setUint32(Header.epoch.offset + 4, 0xffffffff, true)],
  ])("for %s", (_, code, damage) => {
    const bytes = good();
    damage(new DataView(bytes.buffer));
    expect(check(reseal(bytes))).toBe(code);
  });

  it("for a request larger than the largest, or of a length that none has", () => {
    for (const [length, code] of [
      [REQUEST_PAYLOAD_MAX, undefined],
      [40, undefined],
      [REQUEST_PAYLOAD_MAX + 4100, "link.oversized"],
      [REQUEST_PAYLOAD_MAX - 1, "link.protocol"],
      [39, "link.protocol"],
      [0, "link.protocol"],
      [0xffffffff, "link.oversized"],
    ] as const) {
      const bytes = header(FrameType.REQUEST, 1, nothing, () => {});
      Header.payloadBytes.set(new DataView(bytes.buffer), 0, length);
      expect(check(reseal(bytes))).toBe(code);
    }
  });
});
