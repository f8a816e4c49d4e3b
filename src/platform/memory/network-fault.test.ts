import { expect, test } from "vitest";
import { KiB, MiB } from "../../base/units.ts";
import { differingBits } from "./drive-fixture.ts";
import { connected, listening, numbered, PORT, Side, same } from "./network-fixture.ts";

test("bits flip in one direction, in as many segments as told, until it ends", async () => {
  const { universe, network, client, server } = await connected(1);
  const content = numbered(4 * MiB);
  network.flipBits("denver", "boulder", 0.25);
  client.send(content);
  server.send(content);
  await universe.run(() => server.length === content.length && client.length === content.length);
  // 64 segments and more, few of them shorter than half of the most
  const flipped = differingBits(server.bytes, content);
  expect(flipped).toBeGreaterThan(8);
  expect(flipped).toBeLessThan(150);
  expect(network.damaged("boulder", "denver")).toBe(flipped);
  expect(same(client.bytes, content)).toBe(true);
  // the sender's own bytes are as they were
  expect(same(content, numbered(content.length))).toBe(true);
  network.flipBits("denver", "boulder", 0);
  client.send(numbered(MiB));
  await universe.run(() => server.length === content.length + MiB);
  expect(same(server.bytes.subarray(content.length), numbered(MiB))).toBe(true);
});

test("a heal ends flips", async () => {
  const { universe, network, client, server } = await connected(1);
  network.flipBits("denver", "boulder", 1);
  network.heal();
  client.send(numbered(MiB));
  await universe.run(() => server.length === MiB);
  expect(same(server.bytes, numbered(MiB))).toBe(true);
});

test("segments are as small or as large as told", async () => {
  for (const [min, max] of [
    [1, 1],
    [3, 7],
    [100, 200 * KiB],
  ]) {
    const { universe, network, client, server } = await connected(7);
    network.linkOneWay("denver", "boulder", { segmentBytes: [min, max] });
    expect(network.settingsBetween("denver", "boulder").segmentBytes).toEqual([min, max]);
    client.send(numbered(3000));
    await universe.run(() => server.length === 3000);
    expect(same(server.bytes, numbered(3000))).toBe(true);
    const lengths = server.pieces.map((piece) => piece.length);
    if (max < 10) expect(Math.min(...lengths)).toBeLessThanOrEqual(max);
    // only what ends a write may be smaller
    expect(lengths.slice(0, -1).every((length) => length >= min)).toBe(true);
  }
});

test("connections that are reset are over for both sides, once, and others stay", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { universe, network, client, server } = await connected(seed);
    network.link("denver", "boulder", { delay: [5, 5] });
    const pueblo = new Side();
    await universe.result(universe.world("pueblo").network.connect(PORT, pueblo.handlers));
    server.pieces.length = 0;
    const start = universe.now;
    network.resetConnections(...(["denver", "boulder"] as const));
    expect([client.closes, server.closes]).toEqual([0, 0]);
    await universe.run(() => client.closes === 1 && server.closes === 1);
    expect(universe.now - start).toBeCloseTo(5);
    client.open.abort();
    expect(client.open.write(numbered(10))).toBe(0);
    await universe.advance(5000);
    expect([client.closes, server.closes, pueblo.closes]).toEqual([1, 1, 0]);
    expect(network.connections).toBe(2);
  }
});

test("a reset that one side sees is found out by the other when it sends", async () => {
  for (const [first, other] of [
    ["denver", "boulder"],
    ["boulder", "denver"],
  ]) {
    const { universe, network, client, server } = await connected(3);
    const sides = first === "denver" ? [client, server] : [server, client];
    network.resetConnections(first, other, "one-sided");
    await universe.advance(1e6);
    expect(sides.map((side) => side.closes)).toEqual([1, 0]);
    expect(network.connections).toBe(1);
    sides[1].open.write(numbered(10));
    await universe.advance(5);
    expect(sides.map((side) => side.closes)).toEqual([1, 1]);
    expect(sides[0].length).toBe(0);
    expect(network.connections).toBe(0);
  }
});

test("a side that was not told of a reset finds out by closing, too", async () => {
  const { universe, network, client, server } = await connected(3);
  network.resetConnections("denver", "boulder", "one-sided");
  await universe.advance(5);
  server.open.close();
  await universe.advance(5);
  expect([client.closes, server.closes, network.connections]).toEqual([1, 1, 0]);
});

test("a connection whose bytes nobody acknowledges is over for its sender after the timeout, whichever way is cut", async () => {
  for (const cut of [
    [["denver", "boulder"]],
    [["boulder", "denver"]],
    [
      ["denver", "boulder"],
      ["boulder", "denver"],
    ],
  ]) {
    const { universe, network, client, server } = await connected(5);
    network.configure({ retransmitTimeout: 30_000 });
    await universe.advance(10_000);
    client.open.write(numbered(10));
    await universe.run(() => server.length === 10);
    await universe.advance(10);
    for (const [from, to] of cut) network.partitionOneWay(from, to);
    // nothing is outstanding: it waits for ever
    await universe.advance(100_000);
    expect([client.closes, server.closes]).toEqual([0, 0]);
    const start = universe.now;
    client.open.write(numbered(10));
    await universe.advance(20_000);
    client.open.write(numbered(10));
    await universe.run(() => client.closes === 1);
    expect(universe.now - start).toBeCloseTo(30_000, 0);
    expect(client.open.write(numbered(1))).toBe(0);
    // the other side does not know; what was under way is lost, and it finds out when it sends
    const before = server.length;
    network.heal();
    await universe.advance(10_000);
    expect([server.closes, server.length]).toEqual([0, before]);
    server.open.write(numbered(1));
    await universe.advance(10);
    expect([client.closes, server.closes, network.connections]).toEqual([1, 1, 0]);
  }
});

test("a cut that catches bytes under way counts from their sending, and one that ends in time harms nobody", async () => {
  const { universe, network, client, server } = await connected(6);
  network.configure({ retransmitTimeout: 30_000 });
  network.link("denver", "boulder", { delay: [10, 10] });
  client.send(numbered(MiB));
  await universe.advance(25);
  network.partitionOneWay("denver", "boulder");
  await universe.advance(29_000);
  network.heal();
  await universe.run(() => server.length === MiB);
  // progress was made: the time begins again
  network.partition("denver", "boulder");
  client.open.write(numbered(10));
  await universe.advance(29_900);
  expect(client.closes).toBe(0);
  await universe.advance(200);
  expect(client.closes).toBe(1);
});

test("a slow connection that always waits for something, but not for the same, is not given up", async () => {
  const { universe, network, client, server } = await connected(6);
  network.configure({ retransmitTimeout: 20_000 });
  network.linkOneWay("denver", "boulder", { bytesPerSecond: 20_000 });
  client.send(numbered(MiB));
  await universe.advance(5000);
  network.partition("denver", "boulder");
  await universe.advance(1000);
  network.heal();
  await universe.run(() => server.length === MiB);
  expect(client.closes).toBe(0);
});

test("a connection that waits for room at its peer waits for ever", async () => {
  const { universe, network, client, server } = await connected(6);
  network.configure({ retransmitTimeout: 1000 });
  server.open.pause();
  client.send(numbered(MiB));
  await universe.advance(5000);
  network.partition("denver", "boulder");
  await universe.advance(60_000);
  expect(client.closes).toBe(0);
  network.heal();
  server.open.resume();
  await universe.run(() => server.length === MiB);
});

test("a peer without power is given up after the timeout as well", async () => {
  const { universe, network, client, server } = await connected(6);
  universe.machine("denver").crash({ peers: "half-open" });
  await universe.advance(2e6);
  expect(server.closes).toBe(0);
  server.open.write(numbered(10));
  await universe.advance(899_000);
  expect(server.closes).toBe(0);
  await universe.advance(1100);
  expect([client.closes, server.closes, network.connections]).toEqual([0, 1, 0]);
});

test("the kernel of an ended process gives up a close that is never answered", async () => {
  const { universe, network, client, server } = await connected(6);
  await universe.advance(10);
  network.partition("denver", "boulder");
  universe.machine("denver").kill();
  await universe.advance(900_100);
  expect(network.connections).toBe(1);
  network.heal();
  server.open.write(numbered(1));
  await universe.advance(10);
  expect([client.closes, server.closes, network.connections]).toEqual([0, 1, 0]);
});

test("a stopped process is told of a timeout once it goes on", async () => {
  const { universe, network, client } = await connected(6);
  network.configure({ retransmitTimeout: 1000 });
  network.partition("denver", "boulder");
  client.open.write(numbered(10));
  universe.machine("denver").pause();
  await universe.advance(5000);
  expect(client.closes).toBe(0);
  universe.machine("denver").resume();
  await universe.advance(1);
  expect(client.closes).toBe(1);
});

test("while nothing is cut nothing is watched, and afterwards one timer at the most", async () => {
  const { universe, network, client, server } = await connected(6);
  client.send(numbered(MiB));
  await universe.run(() => server.length === MiB);
  await expect(universe.run(() => false)).rejects.toThrow("nothing is left that could happen");
  network.partition("denver", "boulder");
  for (let count = 0; count < 50; count++) client.open.write(numbered(10));
  await universe.advance(10);
  const before = universe.events;
  await universe.advance(900_000);
  expect(client.closes).toBe(1);
  // the timer, and the news
  expect(universe.events - before).toBeLessThan(5);
});

test("a connect through a cut of either direction fails at its timeout, and the server does not keep its half", async () => {
  for (const cut of [
    ["denver", "boulder"],
    ["boulder", "denver"],
  ]) {
    for (const greets of [false, true]) {
      const { universe, network, server, connect } = await listening(1);
      network.configure({ connectTimeout: 20_000 });
      network.partitionOneWay(cut[0], cut[1]);
      const { side, outcome } = connect();
      await universe.advance(10);
      if (greets) server.connection?.write(numbered(10));
      await universe.advance(19_900);
      expect(outcome.time).toBe(undefined);
      await universe.advance(200);
      expect(outcome.failure).toContain("did not answer");
      await universe.advance(100);
      expect(side.connection).toBe(undefined);
      expect(server.closes).toBe(server.connection === undefined ? 0 : 1);
      expect(network.connections).toBe(0);
      network.heal();
      await universe.advance(10_000);
      expect([side.connection, network.connections]).toEqual([undefined, 0]);
      // and the next one gets through
      const again = connect();
      await universe.run(() => again.outcome.time !== undefined);
      expect(again.outcome.failure).toBe(undefined);
    }
  }
});

test("a server whose client's last word of the handshake is lost gives up, and the client finds out", async () => {
  const { universe, network, server, connect } = await listening(1);
  network.link("denver", "boulder", { delay: [10, 10] });
  const { side, outcome } = connect();
  await universe.run(() => server.connection !== undefined);
  network.partitionOneWay("denver", "boulder");
  await universe.advance(129_000);
  expect([outcome.failure, side.closes, server.closes]).toEqual([undefined, 0, 0]);
  await universe.advance(1100);
  expect([side.closes, server.closes]).toEqual([0, 1]);
  network.heal();
  side.open.write(numbered(1));
  await universe.advance(100);
  expect([side.closes, server.closes, network.connections]).toEqual([1, 1, 0]);
});

test("a connect that is held up for less than its timeout succeeds", async () => {
  for (const hold of ["there", "back", "clog there", "clog back"]) {
    const { universe, network, connect } = await listening(1);
    const [from, to] = hold.endsWith("there") ? ["denver", "boulder"] : ["boulder", "denver"];
    if (hold.startsWith("clog")) network.clog(from, to, 5000.12345);
    else network.partitionOneWay(from, to);
    const { outcome } = connect();
    await universe.advance(4990);
    expect(outcome.time).toBe(undefined);
    if (!hold.startsWith("clog")) network.heal();
    await universe.run(() => outcome.time !== undefined);
    expect(outcome.failure).toBe(undefined);
    await universe.advance(1e6);
    expect(network.connections).toBe(2);
  }
});

test("a server whose client died while it connected does not keep its half", async () => {
  for (const restarts of [false, true]) {
    const { universe, network, server, connect } = await listening(1);
    network.link("denver", "boulder", { delay: [10, 10] });
    connect();
    await universe.run(() => server.connection !== undefined);
    universe.machine("denver").crash({ peers: "half-open" });
    if (restarts) universe.machine("denver").restart();
    await universe.advance(restarts ? 100 : 130_100);
    expect([server.closes, network.connections]).toEqual([1, 0]);
  }
});

test("a connect to a machine that dies while it answers ends", async () => {
  for (const peers of ["close", "half-open"] as const) {
    const { universe, network, server, connect } = await listening(1);
    network.link("denver", "boulder", { delay: [10, 10] });
    const { side, outcome } = connect();
    await universe.run(() => server.connection !== undefined);
    universe.machine("boulder").crash({ peers });
    await universe.advance(1000);
    expect(outcome.failure).toBe(undefined);
    expect(side.closes).toBe(peers === "close" ? 1 : 0);
    side.open.write(numbered(10));
    await universe.advance(900_100);
    expect([side.closes, server.closes, network.connections]).toEqual([1, 0, 0]);
  }
});

test("a connection that is reset while it is being established fails to connect, or closes", async () => {
  const seen = new Set<string>();
  for (const seenBy of ["both", "one-sided"] as const) {
    for (let seed = 0; seed < 40; seed++) {
      const { universe, network, server, connect } = await listening(seed);
      const { side, outcome } = connect();
      await universe.run(() => server.connection !== undefined);
      network.resetConnections("denver", "boulder", seenBy);
      await universe.advance(200);
      expect(outcome.time).not.toBe(undefined);
      expect(side.closes).toBe(side.connection === undefined ? 0 : 1);
      // the client knows; the server does as soon as it sends
      server.connection?.write(numbered(1));
      await universe.advance(200);
      expect([server.closes, network.connections]).toEqual([1, 0]);
      seen.add(`${seenBy}: ${outcome.failure === undefined ? "connected" : "failed"}`);
    }
  }
  expect(seen.size).toBe(4);
});

test("a client that gives up what its kernel has established says so", async () => {
  const { universe, network, server } = await listening(1);
  const abort = new AbortController();
  const late = new Side();
  const connecting = universe.world("denver").network.connect(PORT, late.handlers, abort.signal);
  universe.machine("denver").pause();
  await universe.advance(100);
  abort.abort();
  await expect(universe.result(connecting)).rejects.toMatchObject({ code: "network.unreachable" });
  await universe.advance(10);
  expect([server.closes, network.connections]).toEqual([1, 0]);
  universe.machine("denver").resume();
  await universe.advance(10);
  expect(late.connection).toBe(undefined);
});

test("a server that was stopped when a connection came and went is told of both", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { universe, network, server, connect } = await listening(seed);
    universe.machine("boulder").pause();
    const { side } = connect();
    await universe.run(() => side.connection !== undefined);
    side.open.abort();
    await universe.advance(100);
    universe.machine("boulder").resume();
    await universe.advance(1);
    expect(server.connection).not.toBe(undefined);
    expect([server.closes, network.connections]).toEqual([1, 0]);
  }
});

test("a machine that has started again answers a close with a reset", async () => {
  const { universe, client, server } = await connected(1);
  universe.machine("denver").crash({ peers: "half-open" });
  universe.machine("denver").restart();
  // no process runs there any more, the kernel does
  universe.machine("denver").kill();
  server.open.close();
  await universe.advance(5);
  expect([client.closes, server.closes]).toEqual([0, 1]);
});

test("a heal ends a clog for what it holds, and a second clog only lengthens it", async () => {
  const { universe, network, client, server } = await connected(1);
  network.clog("denver", "boulder", 10_000);
  client.open.write(numbered(10));
  await universe.advance(100);
  network.heal("denver", "boulder");
  await universe.advance(2);
  expect(server.length).toBe(10);
  network.clog("denver", "boulder", 300.4);
  network.clog("denver", "boulder", 100.0004);
  client.open.write(numbered(10));
  await universe.advance(300);
  expect(server.length).toBe(10);
  await universe.advance(5);
  expect(server.length).toBe(20);
  network.clog("denver", "boulder", 100);
  network.clog("denver", "boulder", 300);
  client.open.write(numbered(10));
  await universe.advance(299);
  expect(server.length).toBe(20);
  await universe.advance(5);
  expect(server.length).toBe(30);
});
