/**
 * Makes a data write request of a REQUEST frame, and says what is wrong with it where something is.
 *
 * Invariant: a request that comes out is the next in order, of an epoch between its predecessor's and the session's, for
 * blocks that its volume has, and its data is what its checksums say.
 */

import { type DataWriteRequest, decodeDescriptor, REQUEST_BLOCKS_MAX } from "../base/data-write-request.ts";
import type { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, type Epoch, type Sequence, type VolumeId } from "../base/units.ts";
import type { Arithmetic } from "../platform/arithmetic.ts";
import { type Frame, frameError, StreamNumbers } from "./frame.ts";

/** What the next request has to follow. */
export interface Expected {
  readonly appended: Sequence;
  readonly lastEpoch: Epoch;
  /** The session's. */
  readonly epoch: Epoch;
}

export class RequestCheck {
  readonly #arithmetic: Arithmetic;
  readonly #site: string;
  readonly #volumes: ReadonlyMap<VolumeId, number>;
  readonly #checksums = new Uint32Array(REQUEST_BLOCKS_MAX);

  /** @param volumes size of each volume in blocks; empty where any is taken */
  constructor(arithmetic: Arithmetic, site: string, volumes: ReadonlyMap<VolumeId, number>) {
    this.#arithmetic = arithmetic;
    this.#site = site;
    this.#volumes = volumes;
  }

  /** @returns the request, its data a view of the frame's; `undefined` for a duplicate; or what is wrong with it */
  take(frame: Frame, expected: Expected): DataWriteRequest | OperatingError | undefined {
    const { payload } = frame;
    const found = decodeDescriptor(new DataView(payload.buffer, payload.byteOffset, payload.length), 0, payload.length);
    if (typeof found === "string") return frameError("link.protocol", `A request from ${this.#site}: ${found}.`);
    const { kind, epoch, sequence, volume, lba, blocks, checksums } = found;
    const data = payload.subarray(found.encodedBytes);
    if (data.length !== checksums.length * BLOCK_BYTES) {
      return frameError("link.protocol", `Request ${sequence} from ${this.#site} has ${data.length} bytes of data.`);
    }
    if (sequence === 0 || sequence !== StreamNumbers.sequence.get(frame.view, frame.numbers)) {
      return frameError("link.protocol", `A REQUEST frame and its request ${sequence} differ in their sequence.`);
    }
    if (sequence <= expected.appended) return undefined;
    if (sequence > expected.appended + 1) {
      return frameError("link.gap", `Request ${sequence} came from site ${this.#site} after ${expected.appended}.`);
    }
    if (epoch > expected.epoch || epoch < expected.lastEpoch) {
      const what = `Request ${sequence} from site ${this.#site} has epoch ${epoch}`;
      return frameError(
        "link.protocol",
        `${what}, the one before it ${expected.lastEpoch}, the site ${expected.epoch}.`,
      );
    }
    const request = { kind, epoch, sequence, volume, lba, blocks, checksums, data };
    return this.#checkPlace(request) ?? this.#checkData(request) ?? request;
  }

  #checkPlace(request: DataWriteRequest): OperatingError | undefined {
    if (this.#volumes.size === 0 || request.kind === "epoch-start") return undefined;
    const { lba, blocks, volume, sequence } = request;
    const size = this.#volumes.get(volume);
    if (size !== undefined && lba + blocks <= size) return undefined;
    const what = `Request ${sequence} from site ${this.#site} is for blocks ${lba} to ${lba + blocks - 1}`;
    return frameError("link.volumes", `${what} of volume ${volume}, which has ${size ?? "none: it is not here"}.`);
  }

  #checkData(request: DataWriteRequest): OperatingError | undefined {
    const { checksums, sequence } = request;
    this.#arithmetic.crc32cBlocks(request.data, this.#checksums);
    for (let block = 0; block < checksums.length; block++) {
      if (this.#checksums[block] === checksums[block]) continue;
      return frameError("link.corrupt", `Block ${block} of request ${sequence} from site ${this.#site} is damaged.`);
    }
    return undefined;
  }
}
