/** Two machines with a connection, for tests of the network. */

import type { Address, Connection, ConnectionHandlers } from "../network.ts";
import { MemoryUniverse } from "./memory-world.ts";

export const PORT: Address = { host: "boulder", port: 7400 };

/** One side of one or more connections that keeps what it is told. */
export class Side {
  connection: Connection | undefined;
  readonly pieces: Uint8Array[] = [];
  length = 0;
  drains = 0;
  closes = 0;
  onDrain: () => void = () => {};
  onPiece: () => void = () => {};

  readonly handlers = (connection: Connection): ConnectionHandlers => {
    this.connection = connection;
    let isClosed = false;
    const told = (what: string) => {
      if (isClosed) throw new Error(`told of ${what} after the close`);
    };
    return {
      onData: (bytes) => {
        told("data");
        this.pieces.push(bytes);
        this.length += bytes.length;
        this.onPiece();
      },
      onDrain: () => {
        told("a drain");
        this.drains++;
        this.onDrain();
      },
      onClose: () => {
        told("a close");
        isClosed = true;
        this.closes++;
      },
    };
  };

  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.pieces));
  }

  get open(): Connection {
    if (this.connection === undefined) throw new Error("not connected");
    return this.connection;
  }

  /** Writes all of it, going on at each drain. */
  send(bytes: Uint8Array): void {
    let at = 0;
    const more = () => {
      at += this.open.write(bytes.subarray(at));
    };
    this.onDrain = more;
    more();
  }
}

/** A client on denver, connected to a server on boulder. */
export async function connected(seed: number | string) {
  const universe = new MemoryUniverse(seed);
  const client = new Side();
  const server = new Side();
  const listener = await universe.result(universe.world("boulder").network.listen(PORT, server.handlers));
  await universe.result(universe.world("denver").network.connect(PORT, client.handlers));
  await universe.run(() => server.connection !== undefined);
  return { universe, network: universe.network, client, server, listener };
}

/** A server that listens on boulder, and nobody that has connected yet. */
export async function listening(seed: number | string) {
  const universe = new MemoryUniverse(seed);
  const server = new Side();
  await universe.result(universe.world("boulder").network.listen(PORT, server.handlers));
  const connect = (side = new Side()) => {
    const outcome: { failure?: string; time?: number } = {};
    const settled = (failure?: string) => {
      outcome.failure = failure;
      outcome.time = universe.now;
    };
    universe
      .world("denver")
      .network.connect(PORT, side.handlers)
      .then(
        () => settled(),
        (error: Error) => settled(error.message),
      );
    return { side, outcome };
  };
  return { universe, network: universe.network, server, connect };
}

export function numbered(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 7 + (at >> 8)) & 0xff;
  return bytes;
}

export const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
