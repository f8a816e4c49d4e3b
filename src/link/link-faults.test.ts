import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { OperatingError } from "../base/operating-error.ts";
import { epoch, MiB, millis, sequence } from "../base/units.ts";
import { MemoryUniverse, SeededRandom } from "../platform/memory/memory-world.ts";
import type { Connection, Network } from "../platform/network.ts";
import { plainArithmetic } from "../platform/plain-arithmetic.ts";
import type { World } from "../platform/world.ts";
import type { ChannelName } from "./channel.ts";
import { beginHeader, FrameType, Header, PROTOCOL_VERSION, sealHeader } from "./frame.ts";
import { encodeHello } from "./greeting.ts";
import { GREETINGS_MAX } from "./link-listener.ts";
import { difference, downstream, makeRequest, PORT, tappedNetwork, upstream, VOLUMES } from "./test-sites.ts";

describe("a connection that is cut", () => {
  /** Runs a short exchange; the connection that carries byte `cutAt` of all is ended right before it. */
  async function exchange(cutAt: number, end: "close" | "abort"): Promise<{ bytes: number; attempts: number }> {
    const universe = new MemoryUniverse(cutAt);
    universe.network.configure({ delay: [0.1, 0.1] });
    const original = universe.world("denver");
    let bytes = 0;
    let cut = false;
    const write = (connection: Connection, data: Uint8Array): number => {
      if (cut || bytes + data.length <= cutAt) {
        const taken = connection.write(data);
        bytes += taken;
        return taken;
      }
      cut = true;
      const taken = connection.write(data.subarray(0, cutAt - bytes));
      connection[end]();
      return taken;
    };
    const world: World = { ...original, network: tappedNetwork(original.network, write) };
    const back: World = universe.world("boulder");
    Object.assign(back, { network: tappedNetwork(back.network, write) });
    const down = await downstream(universe);
    const up = upstream(universe, {}, world);
    up.source.add(makeRequest(1, 0, 1, "epoch-start"));
    up.source.add(makeRequest(2, 1));
    up.source.add(makeRequest(3, 5, 1, "unmap"));
    up.committed = sequence(2);
    up.sender.start();
    await universe.run(() => up.sender.end === 3 && down.sink.committed === 2);
    const call = universe.result(up.sender.call("verify", new Uint8Array(10), millis(100)));
    await call.catch((error: unknown) => expect(error).toMatchObject({ code: "link.lost" }));
    await universe.run(() => up.sender.state.kind === "streaming");
    expect(difference(up.source, down.sink)).toBeUndefined();
    const { attempts } = up.sender.counters;
    if (cut) expect(up.sender.lastError).toBeDefined();
    up.sender.stop();
    down.listener.close();
    await universe.advance(3000);
    expect(original.memory.outstanding).toBe(0);
    return { bytes, attempts };
  }

  it("at every byte of a short exchange is made good by a reconnect", async () => {
    const whole = await exchange(Number.POSITIVE_INFINITY, "close");
    expect(whole.attempts).toBe(1);
    let reconnects = 0;
    for (let cutAt = 0; cutAt < whole.bytes; cutAt++) {
      const { attempts } = await exchange(cutAt, cutAt % 5 === 0 ? "abort" : "close");
      expect(attempts).toBeLessThanOrEqual(2);
      reconnects += attempts - 1;
      // The block's content is one long run of bytes like each other.
      if (cutAt > 1800 && cutAt < whole.bytes - 800) cutAt += 96;
    }
    expect(reconnects).toBeGreaterThan(1500);
  }, 60_000);

  it.each(Array.from({ length: 12 }, (_, seed) => seed))(
    "again and again, by a network without mercy, loses and repeats nothing (seed %i)",
    async (seed) => {
      const universe = new MemoryUniverse(seed);
      const random = new SeededRandom(`chaos ${seed}`);
      const made: Connection[] = [];
      const original = universe.world("denver");
      const network = tappedNetwork(original.network, (connection, bytes) => connection.write(bytes), made);
      const down = await downstream(universe, { timings: { silence: millis(600), heartbeat: millis(100) } });
      const up = upstream(
        universe,
        { timings: { silence: millis(600), heartbeat: millis(100), stable: millis(300) } },
        { ...original, network },
      );
      for (let number = 1; number <= 400; number++) up.source.add(makeRequest(number, 1 + random.below(20)));
      up.source.onDrive = 150;
      down.sink.credit = MiB;
      universe.network.link("denver", "boulder", { bytesPerSecond: 8 * MiB });
      up.sender.start();
      const disturb = () => {
        if (up.sender.hop === 400) return;
        const dice = random.below(6);
        if (dice <= 1) made[made.length - 1 - random.below(Math.min(2, made.length))]?.abort();
        else if (dice === 2) universe.network.clog("denver", "boulder", random.below(900));
        else if (dice === 3) universe.network.clog("boulder", "denver", random.below(900));
        else if (dice === 4) {
          universe.network.partition("denver", "boulder");
          universe.after(random.below(1500), () => universe.network.heal());
        } else {
          down.sink.room = random.below(20);
          universe.after(random.below(400), () => {
            down.sink.room = Number.POSITIVE_INFINITY;
            down.listener.roomAvailable();
          });
        }
        universe.after(20 + random.below(300), disturb);
      };
      universe.after(20, disturb);
      await universe.run(() => up.sender.hop === 400, { deadline: 300_000 });
      expect(difference(up.source, down.sink)).toBeUndefined();
      expect(up.sender.counters.sessions).toBeGreaterThan(1);
    },
  );
});

describe("silence", () => {
  it.each(["both", "there", "back"])("a partition (%s) is noticed at both ends, and healed", async (direction) => {
    const universe = new MemoryUniverse(1);
    const down = await downstream(universe);
    const up = upstream(universe);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "streaming");
    if (direction !== "back") universe.network.partitionOneWay("denver", "boulder");
    if (direction !== "there") universe.network.partitionOneWay("boulder", "denver");
    const began = universe.now;
    await universe.run(() => up.sender.state.kind === "waiting");
    expect(universe.now - began).toBeGreaterThan(2400);
    expect(universe.now - began).toBeLessThan(3600);
    expect(up.sender.lastError?.code).toBe("link.silent");
    await universe.run(() => down.listener.peers[0].state === "down");
    expect(universe.now - began).toBeLessThan(3600);
    up.source.fill(3);
    await universe.advance(60_000);
    // Each attempt takes its 5 s deadline and a wait of 2.5 to 5 s.
    expect(up.sender.counters.attempts).toBeLessThan(16);
    expect(up.sender.counters.attempts).toBeGreaterThan(5);
    universe.network.heal();
    await universe.run(() => up.sender.hop === 3);
    expect(difference(up.source, down.sink)).toBeUndefined();
  });

  it("a stopped process is given up, and taken up again when it goes on", async () => {
    const universe = new MemoryUniverse(2);
    const down = await downstream(universe);
    const up = upstream(universe);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "streaming");
    universe.machine("boulder").pause();
    await universe.run(() => up.sender.lastError?.code === "link.silent");
    up.source.fill(5);
    universe.machine("boulder").resume();
    await universe.run(() => up.sender.hop === 5);
    expect(difference(up.source, down.sink)).toBeUndefined();
  });

  it("data that does not arrive while heartbeats do is a lost link too", async () => {
    const universe = new MemoryUniverse(3);
    const down = await downstream(universe);
    const original = universe.world("denver");
    let swallow = true;
    const swallowing = (connection: Connection, bytes: Uint8Array): number => {
      const isRequest = bytes.length > Header.size && bytes[Header.type.offset] === FrameType.REQUEST;
      return swallow && isRequest ? bytes.length : connection.write(bytes);
    };
    const up = upstream(universe, {}, { ...original, network: tappedNetwork(original.network, swallowing) });
    up.source.fill(2);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "waiting", { deadline: 5000 });
    expect(up.sender.lastError?.code).toBe("link.stalled");
    swallow = false;
    await universe.run(() => up.sender.hop === 2);
    expect(difference(up.source, down.sink)).toBeUndefined();
  });

  it("a peer that lost its power without a word is replaced by its next session", async () => {
    const universe = new MemoryUniverse(4);
    const down = await downstream(universe);
    const first = upstream(universe);
    first.source.fill(4);
    first.sender.start();
    await universe.run(() => first.sender.hop === 4);
    universe.machine("denver").crash({ peers: "half-open" });
    universe.machine("denver").restart();
    const second = upstream(universe);
    second.source.fill(6);
    second.sender.start();
    await universe.run(() => second.sender.hop === 6, { deadline: 1000 });
    expect(down.sink.accepted).toHaveLength(6);
    expect(down.listener.peers[0]).toMatchObject({ state: "up", counters: { sessions: 2 } });
  });
});

it("stops dialling at once when it is stopped", async () => {
  const universe = new MemoryUniverse(5);
  await downstream(universe);
  universe.network.partition("denver", "boulder");
  const original = universe.world("denver");
  const signals: (AbortSignal | undefined)[] = [];
  const network: Network = {
    ...original.network,
    connect(address, handlers, signal) {
      signals.push(signal);
      return original.network.connect(address, handlers, signal);
    },
  };
  const up = upstream(universe, {}, { ...original, network });
  up.sender.start();
  await universe.advance(100);
  expect(signals.map((signal) => signal?.aborted)).toEqual([false, false]);
  up.sender.stop();
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, true]);
  await universe.advance(60_000);
  expect(up.sender.counters.attempts).toBe(1);
});

it("never dials in a tight loop", async () => {
  const universe = new MemoryUniverse(5);
  universe.machine("boulder");
  const up = upstream(universe);
  up.sender.start();
  await universe.advance(1000);
  expect(up.sender.state).toMatchObject({ error: { code: "network.unreachable" } });
  expect(up.sender.counters.attempts).toBeLessThan(8);
  await universe.advance(59_000);
  expect(up.sender.counters.attempts).toBeLessThan(32);
  expect(up.sender.counters.attempts).toBeGreaterThan(12);
  const down = await downstream(universe);
  up.source.fill(1);
  await universe.run(() => up.sender.hop === 1, { deadline: 5001 });
  expect(down.listener.peers[0].counters.sessions).toBe(1);
});

describe("a live listener", () => {
  interface Raw {
    readonly connection: Connection;
    readonly got: number[];
    closed: boolean;
  }

  async function dial(universe: MemoryUniverse, machine = "denver"): Promise<Raw> {
    const got: number[] = [];
    const state = { closed: false };
    const connection = await universe.result(
      universe.world(machine).network.connect({ host: "boulder", port: PORT }, () => ({
        onData: (bytes) => got.push(...bytes),
        onDrain() {},
        onClose() {
          state.closed = true;
        },
      })),
    );
    return Object.defineProperties({ connection, got, closed: false }, { closed: { get: () => state.closed } });
  }

  function frame(type: FrameType, payload: Uint8Array, carried = 1): Uint8Array {
    const bytes = new Uint8Array(Header.size + payload.length);
    const view = new DataView(bytes.buffer);
    beginHeader(view, 0, type, carried, payload.length);
    bytes.set(payload, Header.size);
    sealHeader(plainArithmetic, bytes, view, 0, plainArithmetic.crc32c(payload));
    return bytes;
  }

  function hello(channel: ChannelName, session = "0123456789abcdef0123456789abcdef"): Uint8Array {
    const greeting = { versions: [1, PROTOCOL_VERSION] as const, site: "denver", to: "boulder", group: "prod" };
    const timings = { heartbeat: 500, silence: 3000 };
    return frame(FrameType.HELLO, encodeHello({ ...greeting, session, channel, ...timings, volumes: VOLUMES }));
  }

  const KNOWN =
    /^link\.(garbage|corrupt|version|type|oversized|protocol|gap|credit|lost|silent|timeout|volumes|timings|group|site|stranger|fenced|refused)$/;

  it("throws at nothing that comes in a greeting's place, and says why it closed", async () => {
    const universe = new MemoryUniverse(6);
    const down = await downstream(universe);
    const good = hello("data");
    const damaged = fc
      .tuple(fc.nat({ max: good.length - 1 }), fc.integer({ min: 1, max: 255 }))
      .map(([at, flip]) => good.map((byte, index) => (index === at ? byte ^ flip : byte)));
    const cut = fc.nat({ max: good.length - 1 }).map((length) => good.slice(0, length));
    const json = fc.json({ maxDepth: 2 }).map((text) => frame(FrameType.HELLO, new TextEncoder().encode(text)));
    const other = fc.constantFrom(...Object.values(FrameType)).map((type) => frame(type, new Uint8Array(0)));
    const input = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 400 }), damaged, cut, json, other);
    await fc.assert(
      fc.asyncProperty(input, async (bytes) => {
        const raw = await dial(universe);
        raw.connection.write(bytes);
        await universe.run(() => raw.closed, { deadline: 9000 });
        expect(down.listener.lastError?.code).toMatch(KNOWN);
      }),
      { numRuns: 250 },
    );
    await stillServes(universe, down);
  });

  it("throws at nothing that comes over a session that is up, and says why it closed", async () => {
    const universe = new MemoryUniverse(7);
    const down = await downstream(universe);
    const anyFrame = fc
      .record({
        type: fc.constantFrom(...Object.values(FrameType)),
        payload: fc.uint8Array({ maxLength: 200 }),
        numbers: fc.uint8Array({ minLength: 32, maxLength: 32 }),
        small: fc.boolean(),
        flags: fc.nat({ max: 7 }),
        tag: fc.nat({ max: 3 }),
      })
      .map(({ type, payload, numbers, small, flags, tag }) => {
        const bytes = frame(type, payload);
        const view = new DataView(bytes.buffer);
        Header.flags.set(view, 0, flags);
        Header.tag.set(view, 0, tag);
        for (let at = 0; at < 32; at++) bytes[Header.numbers.offset + at] = small && at % 8 > 0 ? 0 : numbers[at];
        sealHeader(plainArithmetic, bytes, view, 0, plainArithmetic.crc32c(payload));
        return bytes;
      });
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyFrame, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        fc.nat({ max: 100 }),
        async (frames, onData, cut) => {
          const session = `${universe.random.below(2 ** 32)}`.padStart(32, "0");
          const data = await dial(universe);
          const control = await dial(universe);
          data.connection.write(hello("data", session));
          control.connection.write(hello("control", session));
          await universe.run(() => down.listener.peers[0].state === "up");
          const bytes = Buffer.concat(frames);
          (onData ? data : control).connection.write(bytes.subarray(0, bytes.length - cut));
          await universe.run(() => data.closed && control.closed, { deadline: 9000 });
          expect(down.listener.peers[0]).toMatchObject({ state: "down" });
          expect((down.listener.peers[0].lastError as OperatingError).code).toMatch(KNOWN);
        },
      ),
      { numRuns: 150 },
    );
    expect(down.sink.accepted).toHaveLength(0);
    await stillServes(universe, down);
  });

  it("refuses a request whose data is damaged, whatever its checksums cover, and takes it when it comes whole", async () => {
    const universe = new MemoryUniverse(8);
    const down = await downstream(universe);
    const up = upstream(universe);
    const request = makeRequest(1, 3);
    const damaged = request.data.slice();
    damaged[4096 + 17] ^= 1;
    up.source.add({ ...request, data: damaged });
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "waiting");
    expect(up.sender.lastError).toMatchObject({
      code: "link.corrupt",
      what: expect.stringMatching(/Block 1 of request 1/),
    });
    expect(down.sink.accepted).toHaveLength(0);
    up.source.add(request);
    await universe.run(() => up.sender.hop === 1);
  });

  it("refuses more than it granted", async () => {
    const universe = new MemoryUniverse(8);
    const down = await downstream(universe);
    down.sink.credit = 100;
    const data = await dial(universe);
    const control = await dial(universe);
    data.connection.write(hello("data"));
    control.connection.write(hello("control"));
    await universe.run(() => down.listener.peers[0].state === "up");
    const descriptor = new Uint8Array(40);
    descriptor[0] = 2;
    descriptor[8] = 1;
    for (const number of [1, 2, 3]) {
      descriptor[16] = number;
      const bytes = frame(FrameType.REQUEST, descriptor);
      const view = new DataView(bytes.buffer);
      bytes[Header.numbers.offset] = number;
      sealHeader(plainArithmetic, bytes, view, 0, plainArithmetic.crc32c(descriptor));
      data.connection.write(bytes);
      down.sink.credit = 100 - 40 * number;
    }
    await universe.run(() => data.closed && control.closed);
    expect(down.listener.peers[0].lastError).toMatchObject({ code: "link.credit" });
    expect(down.sink.accepted).toHaveLength(2);
  });

  it("sends strangers that say nothing away, and holds only so many of them", async () => {
    const universe = new MemoryUniverse(9);
    const down = await downstream(universe);
    const silent: Raw[] = [];
    let turnedAway = 0;
    for (let index = 0; index < GREETINGS_MAX + 5; index++) {
      await dial(universe, "springs").then(
        (raw) => silent.push(raw),
        () => turnedAway++,
      );
    }
    await universe.advance(100);
    expect(silent.filter((raw) => raw.closed).length + turnedAway).toBe(5);
    await universe.advance(6000);
    expect(silent.every((raw) => raw.closed)).toBe(true);
    expect(down.listener.lastError?.code).toBe("link.timeout");
    await stillServes(universe, down);
  });

  it("does not wait for ever for the second connection of a session", async () => {
    const universe = new MemoryUniverse(10);
    const down = await downstream(universe);
    const data = await dial(universe);
    data.connection.write(hello("data"));
    await universe.run(() => down.listener.peers[0].state === "greeting");
    await universe.run(() => data.closed, { deadline: 6000 });
    expect(down.listener.peers[0]).toMatchObject({ state: "down", lastError: { code: "link.timeout" } });
  });

  it("ends the old session of a site when a new one begins", async () => {
    const universe = new MemoryUniverse(14);
    const down = await downstream(universe);
    const first = [await dial(universe), await dial(universe)];
    first[0].connection.write(hello("data"));
    first[1].connection.write(hello("control"));
    await universe.run(() => down.listener.peers[0].state === "up");
    const second = [await dial(universe), await dial(universe)];
    second[0].connection.write(hello("data", "f".repeat(32)));
    await universe.advance(10);
    expect(first.some((raw) => raw.closed)).toBe(false);
    second[1].connection.write(hello("control", "f".repeat(32)));
    await universe.run(() => first.every((raw) => raw.closed), { deadline: 10 });
    await universe.run(() => down.listener.peers[0].counters.sessions === 2, { deadline: 10 });
    expect(second.some((raw) => raw.closed)).toBe(false);
  });

  it("answers no more calls at once than there may be", async () => {
    const universe = new MemoryUniverse(12);
    const down = await downstream(universe);
    down.sink.onCall = () => new Promise(() => {});
    const data = await dial(universe);
    const control = await dial(universe);
    data.connection.write(hello("data"));
    control.connection.write(hello("control"));
    await universe.run(() => down.listener.peers[0].state === "up");
    for (let call = 1; call <= 17; call++) {
      const bytes = frame(FrameType.CALL, new TextEncoder().encode("verify"));
      const view = new DataView(bytes.buffer);
      Header.flags.set(view, 0, 1);
      Header.tag.set(view, 0, call);
      sealHeader(plainArithmetic, bytes, view, 0, Header.payloadCrc.get(view, 0));
      control.connection.write(bytes);
    }
    await universe.run(() => control.closed);
    expect(down.listener.peers[0]).toMatchObject({ lastError: { code: "link.protocol" }, counters: { calls: 16 } });
  });

  it("is left when its greeting is for another session, or on the wrong connection", async () => {
    const universe = new MemoryUniverse(13);
    const world = universe.world("boulder");
    const greeting = { versions: [1, 1] as const, site: "boulder", to: "denver", group: "prod" };
    const timings = { heartbeat: 500, silence: 3000 };
    await universe.result(
      world.network.listen({ host: "0.0.0.0", port: PORT }, (connection) => ({
        onData: () => {
          const session = "0123456789abcdef0123456789abcdef";
          const payload = encodeHello({ ...greeting, session, channel: "data", ...timings, volumes: VOLUMES });
          connection.write(frame(FrameType.HELLO, payload));
        },
        onDrain() {},
        onClose() {},
      })),
    );
    const up = upstream(universe);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "waiting");
    expect(up.sender.lastError).toMatchObject({ code: "link.protocol", what: expect.stringMatching(/greeting/) });
  });

  it("ends a session whose other half sends rubbish to the dialler", async () => {
    const universe = new MemoryUniverse(11);
    const world = universe.world("boulder");
    await universe.result(
      world.network.listen({ host: "0.0.0.0", port: PORT }, (connection) => ({
        onData: () => connection.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n".repeat(4))),
        onDrain() {},
        onClose() {},
      })),
    );
    const up = upstream(universe);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "waiting");
    expect(up.sender.lastError?.code).toBe("link.garbage");
    await universe.advance(30_000);
    expect(up.sender.counters.attempts).toBeLessThan(24);
  });

  async function stillServes(universe: MemoryUniverse, down: Awaited<ReturnType<typeof downstream>>): Promise<void> {
    const up = upstream(universe);
    up.epoch = epoch(Math.max(1, down.sink.promised));
    up.source.fill(2);
    up.sender.start();
    await universe.run(() => up.sender.hop === 2);
  }
});
