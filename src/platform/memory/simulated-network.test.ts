import fc from "fast-check";
import { expect, test } from "vitest";
import { KiB, MiB } from "../../base/units.ts";
import type { Address } from "../network.ts";
import { MemoryUniverse } from "./memory-world.ts";
import { connected, numbered, PORT, Side, same } from "./network-fixture.ts";

test("bytes arrive in order and whole, in other pieces than they were written", async () => {
  let split = 0;
  let joined = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300_000 })), { maxLength: 20 }),
      async (seed, lengths) => {
        const { universe, client, server } = await connected(seed);
        const total = lengths.reduce((sum, length) => sum + length, 0);
        const content = numbered(total);
        client.send(content);
        server.send(content);
        await universe.run(() => server.length >= total && client.length >= total);
        await universe.advance(10);
        expect(same(server.bytes, content)).toBe(true);
        expect(same(client.bytes, content)).toBe(true);
        if (server.pieces.length > 1) split++;
      },
    ),
    { numRuns: 50 },
  );
  for (let seed = 0; seed < 20; seed++) {
    const { universe, client, server } = await connected(seed);
    for (let index = 0; index < 10; index++) client.open.write(numbered(100));
    await universe.run(() => server.length === 1000);
    if (server.pieces.some((piece) => piece.length > 100)) joined++;
  }
  expect(split).toBeGreaterThan(10);
  expect(joined).toBeGreaterThan(3);
});

test("what is written may be changed at once, and what is received is the receiver's", async () => {
  const { universe, client, server } = await connected(1);
  const bytes = numbered(1000);
  client.open.write(bytes);
  bytes.fill(0);
  await universe.run(() => server.length === 1000);
  for (const piece of server.pieces) piece.fill(9);
  client.open.write(numbered(1000));
  await universe.run(() => server.length === 2000);
  expect(same(server.bytes.subarray(1000), numbered(1000))).toBe(true);
});

test("a connection takes what its send buffer holds, and says when it takes more", async () => {
  const { universe, client, server } = await connected(1);
  server.open.pause();
  const taken = client.open.write(new Uint8Array(MiB));
  expect(taken).toBe(256 * KiB);
  expect(client.open.write(new Uint8Array(10))).toBe(0);
  expect(client.drains).toBe(0);
  await universe.advance(1000);
  // the peer's kernel took them, and takes no more
  expect(client.drains).toBe(1);
  expect(client.open.write(new Uint8Array(MiB))).toBe(256 * KiB);
  await universe.advance(1000);
  expect(client.drains).toBe(1);
  expect(server.length).toBe(0);
  server.open.resume();
  await universe.run(() => server.length === 512 * KiB);
  await universe.advance(10);
  expect(client.drains).toBe(2);
  // a write that is taken whole asks for no drain
  client.open.write(new Uint8Array(10));
  await universe.advance(10);
  expect(client.drains).toBe(2);
});

test("a pause within onData holds back what follows", async () => {
  const { universe, client, server } = await connected(4);
  let pauses = 0;
  server.onPiece = () => {
    const { length, open } = server;
    open.pause();
    pauses++;
    universe.after(3, () => {
      expect(server.length).toBe(length);
      open.resume();
    });
  };
  client.send(numbered(MiB));
  await universe.run(() => server.length === MiB);
  expect(pauses).toBe(server.pieces.length);
  expect(pauses).toBeGreaterThan(3);
  expect(same(server.bytes, numbered(MiB))).toBe(true);
});

test("bandwidth is shared by the connections of a direction", async () => {
  const { universe, network, client, server } = await connected(1);
  network.linkOneWay("denver", "boulder", { bytesPerSecond: MiB });
  const second = new Side();
  await universe.result(universe.world("denver").network.connect(PORT, second.handlers));
  const first = server.open;
  const start = universe.now;
  client.send(new Uint8Array(MiB));
  second.send(new Uint8Array(MiB));
  await universe.run(() => server.length === 2 * MiB);
  expect(universe.now - start).toBeGreaterThan(1990);
  expect(universe.now - start).toBeLessThan(2010);
  expect(first).not.toBe(undefined);
});

test("delay is as configured", async () => {
  const { universe, network, client, server } = await connected(1);
  network.link("denver", "boulder", { delay: [20, 20] });
  const start = universe.now;
  client.open.write(numbered(1));
  await universe.run(() => server.length === 1);
  expect(universe.now - start).toBeCloseTo(20);
});

test("a partition holds everything up and loses nothing", async () => {
  const { universe, network, client, server } = await connected(1);
  client.send(numbered(MiB));
  await universe.run(() => server.length > 0);
  network.partition("denver", "boulder");
  const before = server.length;
  await universe.advance(60_000);
  expect(server.length).toBe(before);
  const third = new Side();
  const connecting = universe.world("denver").network.connect(PORT, third.handlers);
  await universe.advance(1000);
  expect(third.connection).toBe(undefined);
  network.heal("denver", "boulder");
  await universe.run(() => server.length === MiB);
  expect(same(server.bytes, numbered(MiB))).toBe(true);
  await universe.result(connecting);
  expect([client.closes, server.closes]).toEqual([0, 0]);
});

test("a partition of one direction lets the other through, without its acknowledgements", async () => {
  const { universe, network, client, server } = await connected(1);
  network.partitionOneWay("boulder", "denver");
  client.send(numbered(MiB));
  server.open.write(numbered(100));
  await universe.advance(10_000);
  expect(server.length).toBe(256 * KiB);
  expect(client.length).toBe(0);
  network.heal();
  await universe.run(() => server.length === MiB && client.length === 100);
});

test("isolate cuts a machine off from all, clog for a time only", async () => {
  const { universe, network, client, server } = await connected(1);
  network.isolate("boulder");
  client.open.write(numbered(10));
  await universe.advance(1000);
  expect(server.length).toBe(0);
  network.heal("boulder");
  await universe.run(() => server.length === 10);
  network.clog("denver", "boulder", 500);
  const start = universe.now;
  client.open.write(numbered(10));
  await universe.run(() => server.length === 20);
  expect(universe.now - start).toBeGreaterThanOrEqual(500);
});

test("close sends what was taken, and then both sides are told once", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { universe, client, server } = await connected(seed);
    const taken = client.open.write(numbered(MiB));
    server.open.write(numbered(1000));
    client.open.close();
    expect(client.closes).toBe(0);
    expect(client.open.write(numbered(10))).toBe(0);
    await universe.run(() => server.closes > 0 && client.closes > 0);
    expect(same(server.bytes, numbered(taken))).toBe(true);
    server.open.close();
    server.open.abort();
    client.open.abort();
    await universe.advance(10_000);
    expect([client.closes, server.closes, client.length]).toEqual([1, 1, 0]);
    expect(universe.network.connections).toBe(0);
  }
});

test("a paused side is told of a close once it has read the rest, of an abort at once", async () => {
  const { universe, client, server } = await connected(1);
  server.open.pause();
  client.open.write(numbered(100));
  client.open.close();
  await universe.advance(5000);
  expect([server.length, server.closes]).toEqual([0, 0]);
  server.open.resume();
  await universe.advance(1);
  expect([server.length, server.closes]).toEqual([100, 1]);
  const other = await connected(1);
  other.server.open.pause();
  other.client.open.write(numbered(100));
  await other.universe.advance(10);
  other.client.open.abort();
  await other.universe.advance(10);
  expect([other.server.length, other.server.closes, other.client.closes]).toEqual([0, 1, 1]);
});

test("a close that the peer never sees gives up", async () => {
  const { universe, network, client, server } = await connected(1);
  network.partition("denver", "boulder");
  client.open.close();
  await universe.advance(1900);
  expect(client.closes).toBe(0);
  await universe.advance(200);
  expect(client.closes).toBe(1);
  expect(server.closes).toBe(0);
  network.heal();
  await universe.advance(100);
  expect(server.closes).toBe(1);
});

test("abort may lose what was taken, from the end", async () => {
  const lengths = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const { universe, client, server } = await connected(seed);
    client.open.write(numbered(200 * KiB));
    client.open.abort();
    expect(client.closes).toBe(0);
    await universe.run(() => server.closes > 0 && client.closes > 0);
    expect(same(server.bytes, numbered(200 * KiB).subarray(0, server.length))).toBe(true);
    lengths.add(server.length);
    await universe.advance(100);
    expect([client.closes, server.closes]).toEqual([1, 1]);
  }
  expect(lengths.size).toBeGreaterThan(3);
});

test("handlers are never called from within a method", async () => {
  const { universe, client, server } = await connected(1);
  let inside = false;
  const guarded = (act: () => void) => {
    inside = true;
    act();
    inside = false;
  };
  const check = () => expect(inside).toBe(false);
  client.onDrain = check;
  guarded(() => client.open.write(new Uint8Array(MiB)));
  guarded(() => server.open.pause());
  await universe.advance(10);
  const before = server.length;
  guarded(() => server.open.resume());
  expect(server.length).toBe(before);
  guarded(() => client.open.abort());
  expect(client.closes).toBe(0);
});

test("connect fails for unknown hosts, closed ports, machines without power, silence, and by its signal", async () => {
  const universe = new MemoryUniverse(1);
  const { network } = universe.world("denver");
  universe.machine("boulder");
  const { handlers } = new Side();
  const failing = async (address: Address, why: string, signal?: AbortSignal) => {
    const error = await universe
      .result(network.connect(address, handlers, signal), { deadline: 200_000 })
      .catch((e) => e);
    expect(error).toMatchObject({ code: "network.unreachable", message: expect.stringContaining(why) });
  };
  await failing({ host: "nowhere", port: 1 }, "nowhere:1: it is not a known host");
  await failing(PORT, "boulder:7400: it refused the connection");
  await failing({ path: "/run/x" }, "/run/x: it refused");
  universe.machine("boulder").kill();
  await failing(PORT, "refused");
  universe.machine("boulder").crash();
  await failing(PORT, "is down");
  universe.network.partition("denver", "boulder");
  await failing(PORT, "did not answer");
  const abort = new AbortController();
  universe.after(50, () => abort.abort());
  const start = universe.now;
  await failing(PORT, "did not answer in time", abort.signal);
  expect(universe.now - start).toBe(50);
  await failing(PORT, "did not answer in time", abort.signal);
});

test("a connect that was given up leaves nothing behind, whenever that was", async () => {
  const moments = new Set<string>();
  for (let step = 0; step < 60; step++) {
    const { universe, server } = await connected(step);
    const abort = new AbortController();
    const late = new Side();
    const connecting = universe.world("denver").network.connect(PORT, late.handlers, abort.signal);
    universe.after(step / 40, () => abort.abort());
    const failed = await universe.result(connecting).then(
      () => false,
      () => true,
    );
    await universe.advance(1000);
    expect(late.connection === undefined).toBe(failed);
    expect(universe.network.connections).toBe(failed ? 2 : 4);
    moments.add(failed ? `given up, ${server.closes} accepted` : "connected");
  }
  expect([...moments].sort()).toEqual(["connected", "given up, 0 accepted", "given up, 1 accepted"]);
});

test("listen: busy and foreign addresses, real ports, names, closing", async () => {
  const universe = new MemoryUniverse(1);
  universe.machine("boulder").addName("boulder.example");
  const { network } = universe.world("boulder");
  const { handlers } = new Side();
  const listen = (address: Address) => universe.result(network.listen(address, handlers));
  const listener = await listen({ host: "0.0.0.0", port: 7400 });
  await expect(listen({ host: "boulder", port: 7400 })).rejects.toMatchObject({ code: "network.busy" });
  await expect(listen({ host: "denver", port: 1 })).rejects.toMatchObject({ code: "network.denied" });
  const chosen = await listen({ host: "boulder", port: 0 });
  expect("port" in chosen.address && chosen.address.port).toBeGreaterThan(1023);
  universe.network.name("alias", "boulder");
  const connect = async (host: string, port = 7400) => {
    const side = new Side();
    await universe.result(universe.world("denver").network.connect({ host, port }, side.handlers));
    return side;
  };
  expect((await connect("boulder.example")).open.remote).toBe("boulder.example:7400");
  await connect("alias");
  const loopback = await listen({ host: "127.0.0.1", port: 1 });
  await expect(connect("boulder", 1)).rejects.toMatchObject({ code: "network.unreachable" });
  await universe.result(network.connect({ host: "localhost", port: 1 }, handlers));
  loopback.close();
  const side = await connect("boulder");
  listener.close();
  await expect(connect("boulder")).rejects.toMatchObject({ code: "network.unreachable" });
  await universe.advance(100);
  expect(side.closes).toBe(0);
  await listen({ host: "0.0.0.0", port: 7400 });
  const path = { path: "/run/site" };
  await listen(path);
  await expect(listen(path)).rejects.toMatchObject({ code: "network.busy" });
  await universe.result(network.connect(path, handlers));
  await expect(universe.result(universe.world("denver").network.connect(path, handlers))).rejects.toThrow("refused");
});

test("each side knows the addresses of both", async () => {
  const { client, server } = await connected(1);
  expect(server.open.local).toBe("boulder:7400");
  expect(client.open.remote).toBe("boulder:7400");
  expect(server.open.remote).toMatch(/^denver:\d+$/);
  expect(client.open.local).toBe(server.open.remote);
});

test("after a power cut peers see a close a while later, and no byte that was not under way", async () => {
  const { universe, client, server } = await connected(1);
  client.send(numbered(MiB));
  universe.machine("denver").crash({ notice: 300 });
  const start = universe.now;
  await universe.run(() => server.closes === 1);
  expect(universe.now - start).toBeCloseTo(300);
  expect(server.length).toBe(256 * KiB);
  expect(same(server.bytes, numbered(256 * KiB))).toBe(true);
  expect(client.closes).toBe(0);
});

test("a half-open connection is found out by sending, once the machine is back", async () => {
  const { universe, client, server } = await connected(1);
  universe.machine("denver").crash({ peers: "half-open" });
  await universe.advance(100_000);
  server.open.write(numbered(10));
  await universe.advance(100_000);
  expect(server.closes).toBe(0);
  universe.machine("denver").restart();
  await universe.advance(1000);
  expect(server.closes).toBe(0);
  server.open.write(numbered(10));
  await universe.advance(10);
  expect([server.closes, client.closes]).toEqual([1, 0]);
});

test("a killed process's peers see a close at once, after what it had sent", async () => {
  const { universe, client, server } = await connected(1);
  client.open.write(numbered(100 * KiB));
  universe.machine("denver").kill();
  await universe.advance(20);
  expect(server.closes).toBe(1);
  expect(same(server.bytes, numbered(100 * KiB))).toBe(true);
  expect(client.closes).toBe(0);
  expect(universe.network.connections).toBe(0);
});

test("a stopped process's kernel answers connects and takes a buffer's worth of data", async () => {
  const { universe, client, server } = await connected(1);
  universe.machine("boulder").pause();
  client.send(numbered(MiB));
  const second = new Side();
  await universe.result(universe.world("denver").network.connect(PORT, second.handlers));
  second.open.write(numbered(50));
  await universe.advance(5000);
  expect(server.length).toBe(0);
  expect(client.open.write(numbered(1))).toBe(0);
  universe.machine("boulder").resume();
  await universe.run(() => server.length === MiB + 50);
});

test("a hook ends the sender exactly before or after a send", async () => {
  for (const verdict of ["crash-before", "crash-after", "kill-before", "kill-after"] as const) {
    const { universe, network, client, server } = await connected(1);
    const second = new Side();
    await universe.result(universe.world("denver").network.connect(PORT, second.handlers));
    await universe.advance(10);
    let sends = 0;
    network.onSend = (from, to, bytes) => {
      expect([from, to, bytes.length]).toEqual(["denver", "boulder", 1000]);
      return ++sends === 2 ? verdict : "continue";
    };
    client.open.write(numbered(1000));
    second.open.write(numbered(1000));
    client.open.write(numbered(1000));
    await universe.advance(1000);
    expect(sends).toBe(2);
    expect(server.length).toBe(verdict.endsWith("after") ? 2000 : 1000);
    expect(server.closes).toBe(2);
  }
});
