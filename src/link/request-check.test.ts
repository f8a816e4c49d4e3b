import { describe, expect, it } from "vitest";
import { type DataWriteRequest, dataBlocks, descriptorBytes, encodeDescriptor } from "../base/data-write-request.ts";
import { OperatingError } from "../base/operating-error.ts";
import { epoch, sequence, volumeId } from "../base/units.ts";
import { plainArithmetic } from "../platform/plain-arithmetic.ts";
import { beginHeader, Frame, FrameType, Header, StreamNumbers } from "./frame.ts";
import { RequestCheck } from "./request-check.ts";
import { makeRequest } from "./test-sites.ts";

const volumes = new Map([[volumeId(0), 1000]]);
const expected = { appended: sequence(4), lastEpoch: epoch(2), epoch: epoch(3) };

function frameOf(request: DataWriteRequest, told: number = request.sequence): Frame {
  const described = descriptorBytes(dataBlocks(request));
  const payload = new Uint8Array(described + request.data.length);
  encodeDescriptor(new DataView(payload.buffer), 0, request);
  payload.set(request.data, described);
  const frame = new Frame();
  frame.view = new DataView(new ArrayBuffer(Header.size));
  beginHeader(frame.view, 0, FrameType.REQUEST, 3, payload.length);
  StreamNumbers.sequence.set(frame.view, Header.numbers.offset, told);
  frame.type = FrameType.REQUEST;
  frame.payload = payload;
  return frame;
}

function take(frame: Frame, sizes: ReadonlyMap<ReturnType<typeof volumeId>, number> = volumes) {
  return new RequestCheck(plainArithmetic, "denver", sizes).take(frame, expected);
}

const good = { ...makeRequest(5, 2, 3), lba: 998 as never };

describe("a request", () => {
  it("comes out as it went in", () => {
    expect(take(frameOf(good))).toEqual(good);
    const start = makeRequest(5, 0, 3, "epoch-start");
    expect(take(frameOf(start))).toEqual(start);
    const older = { ...good, epoch: epoch(2) };
    expect(take(frameOf(older))).toEqual(older);
  });

  it("that is here already is a duplicate, even one of an epoch long gone", () => {
    expect(take(frameOf({ ...good, sequence: sequence(4), epoch: epoch(1) }))).toBeUndefined();
  });

  it.each<[string, string, Frame]>([
    ["after a gap", "link.gap", frameOf({ ...good, sequence: sequence(6) })],
    ["of a later epoch than its session's", "link.protocol", frameOf({ ...good, epoch: epoch(4) })],
    ["of an earlier epoch than the one before it", "link.protocol", frameOf({ ...good, epoch: epoch(1) })],
    ["of sequence 0", "link.protocol", frameOf({ ...good, sequence: sequence(0) })],
    ["of another sequence than its frame", "link.protocol", frameOf(good, 6)],
    ["for a volume that is not here", "link.volumes", frameOf({ ...good, volume: volumeId(1) })],
    ["that ends beyond its volume", "link.volumes", frameOf({ ...good, lba: 999 as never })],
    ["to unmap beyond its volume", "link.volumes", frameOf({ ...makeRequest(5, 1001, 3, "unmap"), lba: 0 as never })],
    [
      "whose first checksum is wrong",
      "link.corrupt",
      frameOf({ ...good, checksums: good.checksums.map((c, i) => c ^ (i === 0 ? 1 : 0)) }),
    ],
    [
      "whose last checksum is wrong",
      "link.corrupt",
      frameOf({ ...good, checksums: good.checksums.map((c, i) => c ^ i) }),
    ],
  ])("%s is refused (%s)", (_, code, frame) => {
    const outcome = take(frame);
    expect(outcome).toBeInstanceOf(OperatingError);
    expect(outcome).toMatchObject({ code });
  });

  it("with an unknown kind, or more or less data than it says, is refused", () => {
    const unknown = frameOf(good);
    unknown.payload[0] = 9;
    expect(take(unknown)).toMatchObject({ code: "link.protocol" });
    const short = frameOf(good);
    short.payload = short.payload.subarray(0, short.payload.length - 1);
    expect(take(short)).toMatchObject({ code: "link.protocol" });
    const unmap = frameOf(good);
    unmap.payload[0] = 1;
    expect(take(unmap)).toMatchObject({ code: "link.protocol" });
  });

  it("may be for any volume at a site that has none", () => {
    expect(take(frameOf({ ...good, volume: volumeId(77) }), new Map())).toMatchObject({ volume: 77 });
  });
});
