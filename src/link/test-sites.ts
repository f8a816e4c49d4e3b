/** Small stand-ins for what stands at the two ends of a link, for the tests of this folder. */

import type { Pending } from "../base/block-device.ts";
import { crc32c } from "../base/crc32c.ts";
import type { DataWriteRequest, RequestKind } from "../base/data-write-request.ts";
import { OperatingError } from "../base/operating-error.ts";
import {
  BLOCK_BYTES,
  type Epoch,
  epoch,
  lba,
  MiB,
  millis,
  type Sequence,
  sequence,
  type VolumeId,
  volumeId,
} from "../base/units.ts";
import { sleep } from "../platform/clock.ts";
import type { MemoryUniverse } from "../platform/memory/memory-world.ts";
import type { Connection, ConnectionHandlers, Network } from "../platform/network.ts";
import type { World } from "../platform/world.ts";
import type { PeerStatus, Position, RequestHead, RequestSink, RequestSource, VolumeIdentity } from "./contract.ts";
import { LinkListener, type LinkListenerOptions } from "./link-listener.ts";
import { LinkSender, type LinkSenderOptions } from "./link-sender.ts";
import type { LinkState } from "./link-state.ts";

export const VOLUMES: readonly VolumeIdentity[] = [{ id: volumeId(0), name: "db01", blocks: 100_000 }];

/** A request whose data tells its sequence in every byte. */
export function makeRequest(number: number, blocks = 1, inEpoch = 1, kind: RequestKind = "write"): DataWriteRequest {
  const data = new Uint8Array(kind === "write" ? blocks * BLOCK_BYTES : 0);
  for (let at = 0; at < data.length; at++) data[at] = number * 31 + (at >> 8) + at;
  const checksums = new Uint32Array(data.length / BLOCK_BYTES);
  for (let block = 0; block < checksums.length; block++) {
    checksums[block] = crc32c(data.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
  }
  return {
    kind,
    epoch: epoch(inEpoch),
    sequence: sequence(number),
    volume: volumeId(0),
    lba: lba(number * 7),
    blocks: kind === "epoch-start" ? 0 : blocks,
    checksums,
    data,
  };
}

/** Requests to send; those up to `onDrive` are only to be had by a read that takes time. */
export class TestSource implements RequestSource {
  readonly requests = new Map<number, DataWriteRequest>();
  appended = sequence(0);
  retired = sequence(0);
  onDrive = 0;
  reads = 0;
  readsUnderWay = 0;
  readsUnderWayMax = 0;
  readError: OperatingError | undefined;

  constructor(private readonly world: World) {}

  add(request: DataWriteRequest): void {
    this.requests.set(request.sequence, request);
    this.appended = request.sequence;
  }

  fill(count: number, blocks = 1, inEpoch = 1): void {
    for (let added = 0; added < count; added++) this.add(makeRequest(this.appended + 1, blocks, inEpoch));
  }

  head(wanted: Sequence): RequestHead | undefined {
    return wanted > this.retired ? this.requests.get(wanted) : undefined;
  }

  windowData(wanted: Sequence): Uint8Array | undefined {
    return wanted > this.onDrive ? this.requests.get(wanted)?.data : undefined;
  }

  readData(wanted: Sequence, firstBlock: number, blocks: number, into: Uint8Array): Pending {
    this.reads++;
    const data = this.requests.get(wanted)?.data;
    if (this.readError !== undefined) return Promise.reject(this.readError);
    this.readsUnderWay++;
    this.readsUnderWayMax = Math.max(this.readsUnderWayMax, this.readsUnderWay);
    return sleep(this.world.clock, millis(1 + this.world.random.below(5))).then(() => {
      this.readsUnderWay--;
      if (data === undefined) throw new OperatingError("journal.corrupt", `No request ${wanted}.`, "None.");
      into.set(data.subarray(firstBlock * BLOCK_BYTES, (firstBlock + blocks) * BLOCK_BYTES));
    });
  }
}

/** Takes requests as a journal would, and keeps what it was told. */
export class TestSink implements RequestSink {
  readonly accepted: DataWriteRequest[] = [];
  promised: Epoch = epoch(0);
  lastEpoch: Epoch = epoch(0);
  appended: Sequence = sequence(0);
  /** ACKs follow `appended` unless these hold them back. */
  hopHeldAt = Number.POSITIVE_INFINITY;
  endHeldAt = Number.POSITIVE_INFINITY;
  committed: Sequence = sequence(0);
  commits = 0;
  /** Requests that are still taken; then there is no room. */
  room = Number.POSITIVE_INFINITY;
  refused = 0;
  credit = 4 * MiB;
  promiseMillis = 1;
  promiseError: OperatingError | undefined;
  readonly states: PeerStatus[] = [];
  onCall: (method: string, body: Uint8Array, from: string) => Promise<Uint8Array> = (_, body) => Promise.resolve(body);
  /** Called after each request that was taken. */
  onAccept: () => void = () => {};

  constructor(private readonly world: World) {}

  position(): Position {
    return { promised: this.promised, lastEpoch: this.lastEpoch, appended: this.appended };
  }

  async promise(wanted: Epoch): Promise<void> {
    await sleep(this.world.clock, millis(this.promiseMillis));
    if (this.promiseError !== undefined) throw this.promiseError;
    if (wanted > this.promised) this.promised = wanted;
  }

  accept(request: DataWriteRequest): boolean {
    if (request.sequence !== this.appended + 1) throw new Error(`${request.sequence} after ${this.appended}`);
    if (this.room <= 0) {
      this.refused++;
      return false;
    }
    this.room--;
    this.accepted.push({ ...request, data: request.data.slice() });
    this.appended = request.sequence;
    this.lastEpoch = request.epoch;
    this.onAccept();
    return true;
  }

  commit(upTo: Sequence): void {
    if (upTo > this.appended) throw new Error(`commit ${upTo} beyond ${this.appended}`);
    this.commits++;
    this.committed = upTo;
  }

  acks(): { hop: Sequence; end: Sequence } {
    return {
      hop: sequence(Math.min(this.appended, this.hopHeldAt)),
      end: sequence(Math.min(this.appended, this.endHeldAt)),
    };
  }

  creditBytes(): number {
    return this.credit;
  }

  call(method: string, body: Uint8Array, from: string): Promise<Uint8Array> {
    return this.onCall(method, body, from);
  }

  onState(peer: PeerStatus): void {
    this.states.push(peer);
  }
}

export interface Upstream {
  readonly world: World;
  readonly source: TestSource;
  readonly sender: LinkSender;
  readonly states: LinkState[];
  readonly fencedBy: Epoch[];
  epoch: Epoch;
  committed: Sequence;
  acks: number;
}

export interface Downstream {
  readonly world: World;
  readonly sink: TestSink;
  readonly listener: LinkListener;
}

export const PORT = 7400;

/** An upstream end on machine `denver`, not started. */
export function upstream(universe: MemoryUniverse, options: Partial<LinkSenderOptions> = {}, world?: World): Upstream {
  const machine = options.site ?? "denver";
  const mine = world ?? universe.world(machine);
  const source = new TestSource(mine);
  const end: Omit<Upstream, "sender"> & { sender?: LinkSender } = {
    world: mine,
    source,
    states: [],
    fencedBy: [],
    epoch: epoch(1),
    committed: sequence(0),
    acks: 0,
  };
  const sender = new LinkSender(mine, {
    site: machine,
    group: "prod",
    remote: { site: "boulder", address: { host: "boulder", port: PORT } },
    volumes: VOLUMES,
    source,
    epoch: () => end.epoch,
    committed: () => end.committed,
    resume: (position) => sequence(position.appended + 1),
    onAck: () => end.acks++,
    onFenced: (promised) => end.fencedBy.push(promised),
    onState: (state) => end.states.push(state),
    ...options,
  });
  return Object.assign(end, { sender });
}

/** A downstream end on machine `boulder`. */
export async function downstream(
  universe: MemoryUniverse,
  options: Partial<LinkListenerOptions> = {},
): Promise<Downstream> {
  const machine = options.site ?? "boulder";
  const world = universe.world(machine);
  const sink = new TestSink(world);
  const listener = await universe.result(
    LinkListener.listen(world, {
      site: machine,
      group: "prod",
      address: { host: "0.0.0.0", port: PORT },
      upstreams: ["denver", "springs"],
      volumes: VOLUMES,
      sink,
      ...options,
    }),
  );
  sink.onAccept = () => listener.acknowledge();
  return { world, sink, listener };
}

/** @returns the first difference between what was sent and what was accepted, or undefined */
export function difference(source: TestSource, sink: TestSink): string | undefined {
  if (sink.accepted.length !== source.appended) return `${sink.accepted.length} of ${source.appended} accepted`;
  for (const [index, got] of sink.accepted.entries()) {
    const sent = source.requests.get(index + 1);
    if (sent === undefined || !same(sent, got)) return `request ${index + 1} differs`;
  }
  return undefined;
}

function same(a: DataWriteRequest, b: DataWriteRequest): boolean {
  return (
    a.kind === b.kind &&
    a.epoch === b.epoch &&
    a.sequence === b.sequence &&
    a.volume === (b.volume as VolumeId) &&
    a.lba === b.lba &&
    a.blocks === b.blocks &&
    Buffer.from(a.data).equals(b.data) &&
    a.checksums.join() === b.checksums.join()
  );
}

/** A network that lets its owner see, and end, the connections that it makes. */
export function tappedNetwork(
  network: Network,
  onWrite: (connection: Connection, bytes: Uint8Array) => number,
  made: Connection[] = [],
): Network {
  const tap = (connection: Connection): Connection => {
    const tapped: Connection = {
      remote: connection.remote,
      local: connection.local,
      write: (bytes) => onWrite(connection, bytes),
      pause: () => connection.pause(),
      resume: () => connection.resume(),
      close: () => connection.close(),
      abort: () => connection.abort(),
    };
    made.push(connection);
    return tapped;
  };
  const wrap = (handlers: (connection: Connection) => ConnectionHandlers) => (connection: Connection) =>
    handlers(tap(connection));
  return {
    connect: (address, handlers, signal) => network.connect(address, wrap(handlers), signal),
    listen: (address, handlers) => network.listen(address, wrap(handlers)),
  };
}
