/** What every implementation of `Network` does, as cases that each of them runs in its own test. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KiB, MiB } from "../base/units.ts";
import type { Address, Connection, ConnectionHandlers, Listener, Network } from "./network.ts";

export interface NetworkFixture {
  readonly server: Network;
  /** Another machine's network, or the same. */
  readonly client: Network;
  /** Where the server can listen; port 0 where the implementation chooses ports. */
  readonly free: Address;
  /** An address at which nobody listens, as the client reaches it. */
  readonly silent: Address;
  /** Runs a case; an implementation in simulated time lets that pass here. Default: just runs it. */
  run?(work: () => Promise<void>): Promise<void>;
  dispose?(): Promise<void>;
}

/** Far more than what a connection takes in without anybody reading. */
const FLOOD_BYTES = 64 * MiB;
const PIECE_BYTES = 64 * KiB;

/** One end of a connection: records what it is told, and lets a case wait for it. */
class End implements ConnectionHandlers {
  readonly connection: Connection;
  readonly chunks: Uint8Array[] = [];
  bytes = 0;
  drains = 0;
  closes = 0;
  /** Set while the case is in a method of the connection, in which nothing may be called. */
  calling = false;
  calledInside = false;
  #waiting: { condition: () => boolean; resolve: () => void }[] = [];

  constructor(connection: Connection) {
    this.connection = connection;
  }

  onData(bytes: Uint8Array): void {
    this.chunks.push(bytes);
    this.bytes += bytes.length;
    this.#told();
  }

  onDrain(): void {
    this.drains++;
    this.#told();
  }

  onClose(): void {
    this.closes++;
    this.#told();
  }

  call<T>(method: () => T): T {
    this.calling = true;
    try {
      return method();
    } finally {
      this.calling = false;
    }
  }

  /** Resolves once what this end is told makes the condition true. */
  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ condition, resolve }));
  }

  /** Writes all of it, waiting where the transport takes no more. */
  async send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const drains = this.drains;
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      const taken = this.call(() => this.connection.write(piece));
      expect(taken).toBeGreaterThanOrEqual(0);
      expect(taken).toBeLessThanOrEqual(piece.length);
      at += taken;
      if (taken < piece.length) await this.until(() => this.drains > drains);
    }
  }

  /** Writes until the transport takes no more. @returns the bytes it took */
  fill(bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      const taken = this.call(() => this.connection.write(piece));
      at += taken;
      if (taken < piece.length) return at;
    }
    return bytes.length;
  }

  received(): Uint8Array {
    const all = new Uint8Array(this.bytes);
    let at = 0;
    for (const chunk of this.chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  #told(): void {
    if (this.calling) this.calledInside = true;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ condition }) => !condition());
    for (const { condition, resolve } of waiting) if (condition()) resolve();
  }
}

export function networkCases(name: string, makeFixture: () => Promise<NetworkFixture>): void {
  describe(`network: ${name}`, () => {
    let fixture: NetworkFixture;
    let listeners: Listener[] = [];
    let ends: End[] = [];

    beforeEach(async () => {
      fixture = await makeFixture();
    });
    afterEach(async () => {
      for (const end of ends) end.connection.abort();
      for (const listener of listeners) listener.close();
      listeners = [];
      ends = [];
      await fixture.dispose?.();
    });

    const caseOf = (title: string, work: () => Promise<void>): void => {
      it(title, async () => {
        await (fixture.run === undefined ? work() : fixture.run(work));
        for (const end of ends) expect(end.calledInside, "a handler ran within a method").toBe(false);
      });
    };

    const madeEnd = (connection: Connection): End => {
      const end = new End(connection);
      ends.push(end);
      return end;
    };

    const listen = async (accepted: (end: End) => void): Promise<Listener> => {
      const listener = await fixture.server.listen(fixture.free, (connection) => {
        const end = madeEnd(connection);
        accepted(end);
        return end;
      });
      listeners.push(listener);
      return listener;
    };

    const connect = async (address: Address): Promise<End> => {
      let end: End | undefined;
      const connection = await fixture.client.connect(address, (made) => {
        end = madeEnd(made);
        return end;
      });
      if (end === undefined) throw new Error("connected without handlers");
      expect(end.connection).toBe(connection);
      return end;
    };

    /** Both ends of a connection. */
    const connected = async (): Promise<{ client: End; server: End; listener: Listener }> => {
      let accept: (end: End) => void = () => {};
      const accepted = new Promise<End>((resolve) => {
        accept = resolve;
      });
      const listener = await listen((end) => accept(end));
      const client = await connect(listener.address);
      return { client, server: await accepted, listener };
    };

    caseOf("carries bytes both ways, whole and in order", async () => {
      const { client, server } = await connected();
      const there = pattern(300_001, 1);
      const back = pattern(200_003, 2);
      await Promise.all([client.send(there), server.send(back)]);
      await server.until(() => server.bytes >= there.length);
      await client.until(() => client.bytes >= back.length);
      expectSame(server.received(), there);
      expectSame(client.received(), back);
    });

    caseOf("copies what it takes, and gives bytes away for good", async () => {
      const { client, server } = await connected();
      for (let value = 1; value <= 50; value++) {
        const piece = new Uint8Array(100).fill(value);
        await client.send(piece);
        piece.fill(0);
        await server.until(() => server.bytes === value * 100);
      }
      expect([...server.received()]).toEqual(Array.from({ length: 5000 }, (_, at) => 1 + Math.floor(at / 100)));
    });

    caseOf("names the two ends of a connection alike", async () => {
      const { client, server } = await connected();
      expect(client.connection.remote).toBe(server.connection.local);
      expect(server.connection.remote).toBe(client.connection.local);
      expect(client.connection.remote).not.toBe("");
    });

    caseOf("takes only so much while the peer has paused, and goes on when it resumes", async () => {
      const { client, server } = await connected();
      server.connection.pause();
      const flood = pattern(FLOOD_BYTES, 3);
      const taken = client.fill(flood);
      expect(taken).toBeGreaterThan(0);
      expect(taken).toBeLessThan(FLOOD_BYTES);
      // Bytes the other way show that the pause has taken effect, and that it stops one direction only.
      await server.send(pattern(1000, 4));
      await client.until(() => client.bytes === 1000);
      expect(server.bytes).toBe(0);
      server.connection.resume();
      await client.until(() => client.drains === 1);
      await client.send(flood.subarray(taken));
      await server.until(() => server.bytes >= FLOOD_BYTES);
      expectSame(server.received(), flood);
    });

    caseOf("can be paused and resumed at every chunk", async () => {
      const { client, server } = await connected();
      const sent = pattern(4 * MiB, 5);
      const sending = client.send(sent);
      while (server.bytes < sent.length) {
        const seen = server.bytes;
        await server.until(() => server.bytes > seen);
        server.call(() => server.connection.pause());
        await Promise.resolve();
        server.call(() => server.connection.resume());
      }
      await sending;
      expectSame(server.received(), sent);
    });

    caseOf("sends all that it took before it closes, and tells both ends once", async () => {
      const { client, server } = await connected();
      server.connection.pause();
      const flood = pattern(FLOOD_BYTES, 6);
      const taken = client.fill(flood);
      client.call(() => client.connection.close());
      client.call(() => client.connection.close());
      expect(client.connection.write(flood)).toBe(0);
      server.connection.resume();
      await Promise.all([client.until(() => client.closes > 0), server.until(() => server.closes > 0)]);
      expect(server.bytes).toBe(taken);
      expectSame(server.received(), flood.subarray(0, taken));
      expect([client.closes, server.closes]).toEqual([1, 1]);
    });

    caseOf("sends all that it took even where it closes with bytes unread", async () => {
      const { client, server } = await connected();
      client.connection.pause();
      await server.send(pattern(100_000, 7));
      // So much that some of it is still on the client's side when that closes.
      server.connection.pause();
      const flood = pattern(FLOOD_BYTES, 8);
      const taken = client.fill(flood);
      client.call(() => client.connection.close());
      server.connection.resume();
      await Promise.all([client.until(() => client.closes > 0), server.until(() => server.closes > 0)]);
      expectSame(server.received(), flood.subarray(0, taken));
      expect(client.bytes).toBe(0);
    });

    caseOf("aborts at once, and tells both ends once", async () => {
      const { client, server } = await connected();
      server.connection.pause();
      client.fill(pattern(FLOOD_BYTES, 9));
      server.connection.resume();
      client.call(() => client.connection.abort());
      client.call(() => client.connection.abort());
      await Promise.all([client.until(() => client.closes > 0), server.until(() => server.closes > 0)]);
      server.call(() => server.connection.abort());
      server.call(() => server.connection.close());
      expect(server.bytes).toBeLessThan(FLOOD_BYTES);
      expect(server.connection.write(pattern(10, 10))).toBe(0);
      expect([client.closes, server.closes]).toEqual([1, 1]);
    });

    caseOf("can be closed by both ends together", async () => {
      const { client, server } = await connected();
      client.connection.close();
      server.connection.close();
      await Promise.all([client.until(() => client.closes > 0), server.until(() => server.closes > 0)]);
      expect([client.closes, server.closes]).toEqual([1, 1]);
    });

    caseOf("keeps the connections of a listener apart, and after it closes", async () => {
      const accepted: End[] = [];
      const listener = await listen((end) => accepted.push(end));
      const clients = await Promise.all(Array.from({ length: 20 }, () => connect(listener.address)));
      for (const [index, client] of clients.entries()) await client.send(new Uint8Array(10).fill(index));
      listener.close();
      for (const end of accepted) {
        await end.until(() => end.bytes === 10);
        await end.send(end.received());
      }
      for (const [index, client] of clients.entries()) {
        await client.until(() => client.bytes === 10);
        expect([...client.received()]).toEqual(new Array(10).fill(index));
      }
    });

    caseOf("cannot reach where nobody listens", async () => {
      const error = await connect(fixture.silent).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "network.unreachable", remedy: expect.stringMatching(/\w/) });
    });

    caseOf("cannot reach a listener that has closed", async () => {
      const listener = await listen(() => {});
      const { address } = listener;
      listener.close();
      await expect(connect(address)).rejects.toMatchObject({ code: "network.unreachable" });
    });

    caseOf("gives up when its signal is aborted, and the peer is told", async () => {
      const accepted: End[] = [];
      const listener = await listen((end) => accepted.push(end));
      const abort = new AbortController();
      let handled = false;
      const handlers = (connection: Connection): ConnectionHandlers => {
        handled = true;
        return madeEnd(connection);
      };
      const gone = expect(
        fixture.client.connect(listener.address, handlers, AbortSignal.abort()),
      ).rejects.toMatchObject({ code: "network.unreachable" });
      await gone;
      const waiting = expect(fixture.client.connect(listener.address, handlers, abort.signal)).rejects.toMatchObject({
        code: "network.unreachable",
      });
      abort.abort();
      await waiting;
      expect(handled).toBe(false);
      const client = await connect(listener.address);
      await client.send(pattern(10, 11));
      for (const end of accepted) await end.until(() => end.closes === 1 || end.bytes === 10);
      expect(accepted.filter((end) => end.bytes === 10).length).toBe(1);
    });

    caseOf("listens at an address once at a time", async () => {
      const listener = await listen(() => {});
      const again = () => fixture.server.listen(listener.address, madeEnd);
      const error = await again().catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "network.busy", remedy: expect.stringMatching(/\w/) });
      listener.close();
      listeners.push(await again());
      await connect(listener.address);
    });
  });
}

function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** As `toEqual`, without a report of a million bytes. */
function expectSame(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length);
  const differs = actual.findIndex((byte, at) => byte !== expected[at]);
  expect(differs, "first byte that differs").toBe(-1);
}
