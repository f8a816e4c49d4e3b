/**
 * What a link needs from its owner at either end. The journal and the pipeline satisfy these structurally.
 */

import type { Pending } from "../base/block-device.ts";
import type { DataWriteRequest } from "../base/data-write-request.ts";
import type { Epoch, Sequence, VolumeId } from "../base/units.ts";

/** A volume as both sites must know it before one sends the other's writes. */
export interface VolumeIdentity {
  readonly id: VolumeId;
  readonly name: string;
  /** Size in blocks of 4 KiB. */
  readonly blocks: number;
}

/** Where a site stands, as it says when a link to it comes up. */
export interface Position {
  /** The site refuses every lower epoch. */
  readonly promised: Epoch;
  /** Epoch of the request `appended`; 0 if there is none. */
  readonly lastEpoch: Epoch;
  /** The last request that the site has taken; 0 if there is none. */
  readonly appended: Sequence;
}

export type RequestHead = Omit<DataWriteRequest, "data">;

/** Where the requests to send come from: the journal. */
export interface RequestSource {
  readonly appended: Sequence;
  /** All up to here are gone; live requests are `retired + 1` to `appended`. */
  readonly retired: Sequence;
  /** `undefined` when the request is not live. */
  head(sequence: Sequence): RequestHead | undefined;
  /** A live write's data if it is in memory; valid until control returns to the event loop. */
  windowData(sequence: Sequence): Uint8Array | undefined;
  /** Reads data from memory or the drive, verified; `into` comes from `Memory`. */
  readData(sequence: Sequence, firstBlock: number, blocks: number, into: Uint8Array): Pending;
}

/** Where the requests that arrive go: the pipeline. */
export interface RequestSink {
  /** `appended` counts every request for which `accept` has returned true. */
  position(): Position;
  /** Resolves when the promise is durable. Rejects with an `OperatingError` where it can't be made. */
  promise(epoch: Epoch): Promise<void>;
  /**
   * Takes the next request in order; its data is a view that is only valid during the call.
   *
   * @returns false if there is no room: the same request is offered again after `LinkListener.roomAvailable`
   */
  accept(request: DataWriteRequest): boolean;
  /**
   * Every in-sync site has ACKed all up to here. Never more than was accepted; less than before only after a reconnect,
   * where it means nothing.
   */
  commit(upTo: Sequence): void;
  /** `hop`: this site has it in its journal; `end`: the last site of the leg has. */
  acks(): { readonly hop: Sequence; readonly end: Sequence };
  /**
   * Bytes of encoded requests that can be taken beyond those already accepted. Where the sink is idle this must be
   * enough for the largest request, or nothing ever comes.
   */
  creditBytes(): number;
  /** Answers a call of the upstream site `from`. An `OperatingError` travels back to the caller. */
  call(method: string, body: Uint8Array, from: string): Promise<Uint8Array>;
  /** The link from an upstream site has come up, gone, or been refused. */
  onState?(peer: PeerStatus): void;
}

/** A link from an upstream site, as its downstream end sees it. */
export interface PeerStatus {
  readonly site: string;
  readonly state: "down" | "greeting" | "up";
  /** The peer's address while there is a connection. */
  readonly remote: string | undefined;
  /** Epoch that the peer last carried; 0 if it never did. */
  readonly epoch: Epoch;
  readonly lastError: Error | undefined;
  readonly counters: Readonly<ReceiverCounters>;
}

/** Totals since the listener was started. */
export interface ReceiverCounters {
  sessions: number;
  requests: number;
  /** Bytes of the requests that were accepted, encoded. */
  bytes: number;
  duplicates: number;
  /** How often a request had to wait for room. */
  holds: number;
  calls: number;
}
