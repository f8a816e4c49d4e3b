/**
 * Sends requests, in order, as far as the other site's credit and the transport allow.
 *
 * Invariants: the data connection carries nothing in this direction but what the pump puts there, once the greeting is
 * out; `next` is the first request of which no byte was sent; the bytes of requests sent in a session never exceed the
 * credit granted in it; a request's data is looked up again in every turn, since it may leave the window in between.
 */

import { assert } from "../base/assert.ts";
import { descriptorBytes, encodeDescriptor } from "../base/data-write-request.ts";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, type Epoch, KiB, type Sequence, sequence } from "../base/units.ts";
import type { World } from "../platform/world.ts";
import type { Channel } from "./channel.ts";
import type { RequestHead, RequestSource } from "./contract.ts";
import { FrameType, Header, StreamNumbers } from "./frame.ts";
import { ReadAhead } from "./read-ahead.ts";

/** Data up to so many bytes is copied to be sent together with its neighbours; longer data is written as it is. */
const GATHER_DATA_MAX = 32 * KiB;
/** Requests that are sent and not ACKed at the most. A power of two. */
export const UNACKED_REQUESTS_MAX = 65536;

export interface PumpOptions {
  readonly source: RequestSource;
  readonly epoch: () => Epoch;
  readonly committed: () => Sequence;
  /** The stream can't go on. */
  readonly onFailed: (error: OperatingError) => void;
}

const NOTHING = new Uint8Array(0);

export class RequestPump {
  requests = 0;
  bytes = 0;
  readonly #world: World;
  readonly #options: PumpOptions;
  readonly #readAhead: ReadAhead;
  readonly #runAfterTurn = () => this.#afterTurn();
  #scheduled = false;
  #channel: Channel | undefined;
  #next = sequence(1);
  /** The request whose data is being written directly, and how much of it is out. */
  #tail: Sequence | undefined;
  #tailSent = 0;
  #sentCommitted = sequence(0);
  #creditLimit = 0;
  #sentBytes = 0;
  /** `sentBytes` after each request, by sequence modulo the table's size. */
  readonly #sentUpTo = new Float64Array(UNACKED_REQUESTS_MAX);
  #first = sequence(1);
  #hop = sequence(0);

  constructor(world: World, options: PumpOptions) {
    this.#world = world;
    this.#options = options;
    this.#readAhead = new ReadAhead(
      world,
      options.source,
      () => this.schedule(),
      (error) => options.onFailed(error),
    );
  }

  /** The last request that was begun in this session, or before it; `undefined` while nothing is streamed. */
  get last(): Sequence | undefined {
    return this.#channel === undefined ? undefined : sequence(this.#next - 1);
  }

  /** Bytes of requests sent in this session and not ACKed by the next hop. */
  get unackedBytes(): number {
    if (this.#channel === undefined) return 0;
    if (this.#hop < this.#first) return this.#sentBytes;
    return this.#sentBytes - this.#sentUpTo[this.#hop % UNACKED_REQUESTS_MAX];
  }

  /** Begins to stream over a new session. */
  begin(channel: Channel, from: Sequence): void {
    assert(this.#channel === undefined, "one session at a time");
    assert(from >= 1 && from <= this.#options.source.appended + 1, `no stream can begin at ${from}`);
    this.#channel = channel;
    this.#first = from;
    this.#next = from;
    this.#hop = sequence(from - 1);
    this.#sentCommitted = sequence(0);
    this.#sentBytes = 0;
    this.schedule();
  }

  /** The session is over. */
  end(): void {
    this.#channel = undefined;
    this.#tail = undefined;
    this.#creditLimit = 0;
    this.#readAhead.discard();
  }

  /** The other site takes so many bytes of requests in this session. */
  grant(creditLimit: number): void {
    if (creditLimit <= this.#creditLimit) return;
    this.#creditLimit = creditLimit;
    this.schedule();
  }

  /** The next hop has ACKed all up to here. */
  acknowledged(hop: Sequence): void {
    if (hop > this.#hop && hop < this.#next) this.#hop = hop;
  }

  /** There may be something to send: it goes out at the end of this turn. */
  schedule(): void {
    if (this.#scheduled || this.#channel === undefined) return;
    this.#scheduled = true;
    this.#world.clock.afterTurn(this.#runAfterTurn);
  }

  /** The transport takes bytes again. */
  run(): void {
    const channel = this.#channel;
    if (channel === undefined) return;
    while (channel.isOpen && channel.flush()) {
      if (this.#tail !== undefined && !this.#sendTail(channel, this.#tail)) return;
      if (!this.#gather(channel)) return;
    }
  }

  #afterTurn(): void {
    this.#scheduled = false;
    this.run();
  }

  /** @returns false if some of the data has to wait */
  #sendTail(channel: Channel, tail: Sequence): boolean {
    const data = this.#data(tail);
    if (data === undefined) {
      this.#awaitData(tail);
      return false;
    }
    this.#tailSent += channel.writeDirectly(this.#tailSent === 0 ? data : data.subarray(this.#tailSent));
    if (!channel.isOpen || this.#tailSent < data.length) return false;
    this.#readAhead.release(tail);
    this.#tail = undefined;
    return true;
  }

  /** Fills the gather buffer. @returns false if there is nothing to put into it now */
  #gather(channel: Channel): boolean {
    const { source } = this.#options;
    const epoch = this.#options.epoch();
    const committed = this.#options.committed();
    let put = false;
    let fromDrive = false;
    while (this.#tail === undefined && this.#next <= source.appended) {
      const head = source.head(this.#next);
      if (head === undefined) {
        this.#options.onFailed(behind(this.#next, source.retired));
        return false;
      }
      const carried = head.kind === "write" ? head.blocks : 0;
      const payloadBytes = descriptorBytes(carried) + carried * BLOCK_BYTES;
      if (this.#sentBytes + payloadBytes > this.#creditLimit) break;
      if (this.#next - this.#hop >= UNACKED_REQUESTS_MAX) break;
      let data: Uint8Array | undefined = NOTHING;
      if (carried > 0) {
        data = source.windowData(this.#next);
        if (data === undefined) {
          fromDrive = true;
          data = this.#readAhead.data(this.#next);
        }
        if (data === undefined) break;
      }
      if (!this.#putRequest(channel, head, data, epoch, committed, payloadBytes)) break;
      put = true;
    }
    if (fromDrive && channel.isOpen) this.#prefetch();
    if (put) return true;
    return committed > this.#sentCommitted && this.#putCommit(channel, epoch, committed);
  }

  /** @returns false if there is no room in the gather buffer */
  #putRequest(
    channel: Channel,
    head: RequestHead,
    data: Uint8Array,
    epoch: Epoch,
    committed: Sequence,
    payloadBytes: number,
  ): boolean {
    const direct = data.length > GATHER_DATA_MAX;
    const described = payloadBytes - data.length;
    const at = channel.begin(FrameType.REQUEST, epoch, payloadBytes, 0, 0, direct ? described : payloadBytes);
    if (at < 0) return false;
    const numbers = at + Header.numbers.offset;
    StreamNumbers.sequence.set(channel.view, numbers, head.sequence);
    StreamNumbers.committed.set(channel.view, numbers, committed);
    const payload = at + Header.size;
    encodeDescriptor(channel.view, payload, {
      kind: head.kind,
      epoch: head.epoch,
      sequence: head.sequence,
      volume: head.volume,
      lba: head.lba,
      blocks: head.blocks,
      checksums: head.checksums,
      data,
    });
    channel.seal(at, this.#world.arithmetic.crc32c(channel.gather.subarray(payload, payload + described)));
    if (direct) {
      this.#tail = head.sequence;
      this.#tailSent = 0;
    } else if (data.length > 0) {
      channel.gather.set(data, payload + described);
      this.#readAhead.release(head.sequence);
    }
    this.#sentCommitted = committed;
    this.#sentBytes += payloadBytes;
    this.#sentUpTo[head.sequence % UNACKED_REQUESTS_MAX] = this.#sentBytes;
    this.#next = sequence(head.sequence + 1);
    this.requests++;
    this.bytes += payloadBytes;
    return true;
  }

  #putCommit(channel: Channel, epoch: Epoch, committed: Sequence): boolean {
    const at = channel.begin(FrameType.COMMIT, epoch);
    if (at < 0) return false;
    StreamNumbers.committed.set(channel.view, at + Header.numbers.offset, committed);
    channel.seal(at);
    this.#sentCommitted = committed;
    return true;
  }

  #data(wanted: Sequence): Uint8Array | undefined {
    return this.#options.source.windowData(wanted) ?? this.#readAhead.data(wanted);
  }

  #awaitData(wanted: Sequence): void {
    const head = this.#options.source.head(wanted);
    if (head === undefined) this.#options.onFailed(behind(wanted, this.#options.source.retired));
    else this.#readAhead.fill(wanted);
    // A read that was done at once calls nothing back.
    if (this.#readAhead.data(wanted) !== undefined) this.schedule();
  }

  /** Reads on where the link now is, if the data there is on the drive. */
  #prefetch(): void {
    const { source } = this.#options;
    const next = this.#tail ?? this.#next;
    if (source.head(next)?.kind === "write" && source.windowData(next) === undefined) this.#awaitData(next);
  }
}

function behind(wanted: Sequence, retired: Sequence): OperatingError {
  return new OperatingError(
    "link.behind",
    `The other site needs request ${wanted}, but all up to ${retired} have left this site's journal.`,
    "The other site has to be resynchronised.",
  );
}
