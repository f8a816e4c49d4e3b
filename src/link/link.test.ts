import { describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, epoch, KiB, MiB, millis, sequence, volumeId } from "../base/units.ts";
import { MemoryUniverse } from "../platform/memory/memory-world.ts";
import type { Connection, Network } from "../platform/network.ts";
import { READ_AHEAD_BYTES } from "./read-ahead.ts";
import { difference, downstream, makeRequest, tappedNetwork, upstream, VOLUMES } from "./test-sites.ts";

describe("streaming", () => {
  it.each([1, 2, 3, 4, 5])("delivers requests of every kind and size, in order, unchanged (seed %i)", async (seed) => {
    const universe = new MemoryUniverse(seed);
    const down = await downstream(universe);
    const up = upstream(universe);
    const sizes = [1, 256, 2, 16, 1, 1, 64, 255, 8, 9];
    for (let number = 1; number <= 120; number++) {
      const kind = number === 1 ? "epoch-start" : number % 7 === 0 ? "unmap" : "write";
      up.source.add(makeRequest(number, sizes[universe.random.below(sizes.length)], 1, kind));
    }
    up.sender.start();
    await universe.run(() => up.sender.hop === 120);
    expect(difference(up.source, down.sink)).toBeUndefined();
    expect(up.sender.state.kind).toBe("streaming");
    expect(up.sender.end).toBe(120);
    expect(up.sender.unackedBytes).toBe(0);
    expect(up.sender.counters).toMatchObject({ attempts: 1, sessions: 1, requests: 120 });
    expect(down.listener.peers[0]).toMatchObject({ site: "denver", state: "up", epoch: 1 });
    expect(down.listener.peers[0].counters).toMatchObject({ requests: 120, duplicates: 0, sessions: 1 });
  });

  it("sends what is appended while the link is up, and the commit watermark with it or alone", async () => {
    const universe = new MemoryUniverse(1);
    const down = await downstream(universe);
    const up = upstream(universe);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "streaming");
    up.source.fill(3);
    up.committed = sequence(2);
    up.sender.notify();
    await universe.run(() => up.sender.hop === 3);
    expect(down.sink.committed).toBe(2);
    const before = universe.now;
    up.committed = sequence(3);
    up.sender.notify();
    await universe.run(() => down.sink.committed === 3);
    expect(universe.now - before).toBeLessThan(10);
  });

  it("never tells the sink of a commit that it has not the requests for", async () => {
    const universe = new MemoryUniverse(1);
    const down = await downstream(universe);
    const up = upstream(universe, {}, undefined);
    up.source.fill(10);
    up.committed = sequence(10);
    down.sink.room = 4;
    up.sender.start();
    await universe.run(() => down.sink.committed === 4);
    await universe.advance(2000);
    expect(down.sink.committed).toBe(4);
  });

  it("keeps hop and end apart", async () => {
    const universe = new MemoryUniverse(2);
    const down = await downstream(universe);
    down.sink.endHeldAt = 4;
    const up = upstream(universe);
    up.source.fill(10);
    up.sender.start();
    await universe.run(() => up.sender.hop === 10);
    expect(up.sender.end).toBe(4);
    down.sink.endHeldAt = 8;
    down.listener.acknowledge();
    await universe.run(() => up.sender.end === 8);
    expect(up.sender.hop).toBe(10);
  });

  it("sends one ACK a turn at the most, however many requests come in it", async () => {
    const universe = new MemoryUniverse(3);
    const down = await downstream(universe);
    const up = upstream(universe);
    up.source.fill(2000);
    up.sender.start();
    let turns = 0;
    await universe.run(() => {
      turns++;
      return up.sender.hop === 2000;
    });
    expect(up.acks).toBeLessThan(200);
    expect(up.acks).toBeLessThan(turns);
    expect(difference(up.source, down.sink)).toBeUndefined();
  });

  it("reads ahead from the drive what has left the window, and copes with data that leaves it under way", async () => {
    const universe = new MemoryUniverse(4);
    universe.network.link("denver", "boulder", { bytesPerSecond: 200 * MiB });
    const down = await downstream(universe);
    const up = upstream(universe);
    for (let number = 1; number <= 60; number++) up.source.add(makeRequest(number, number % 3 === 0 ? 256 : 4));
    up.source.onDrive = 30;
    up.sender.start();
    let moved = false;
    await universe.run(() => {
      // The window moves on, in the middle of a request that is being written.
      if (!moved && down.sink.appended > 35) {
        moved = true;
        up.source.onDrive = 60;
      }
      return up.sender.hop === 60;
    });
    expect(moved).toBe(true);
    expect(difference(up.source, down.sink)).toBeUndefined();
    expect(up.source.readsUnderWayMax).toBeGreaterThan(2);
    const heldMost = READ_AHEAD_BYTES / (4 * BLOCK_BYTES);
    expect(up.source.readsUnderWayMax).toBeLessThanOrEqual(heldMost);
  });

  it("stops with the journal's own error when the journal can't read a request", async () => {
    const universe = new MemoryUniverse(4);
    await downstream(universe);
    const up = upstream(universe);
    up.source.fill(3);
    up.source.onDrive = 2;
    up.source.readError = new OperatingError("journal.corrupt", "Request 1 is damaged.", "Fetch it elsewhere.");
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "refused");
    expect(up.sender.lastError?.code).toBe("journal.corrupt");
  });

  it("says so when the other site needs requests that are retired", async () => {
    const universe = new MemoryUniverse(4);
    await downstream(universe);
    const up = upstream(universe);
    up.source.fill(3);
    up.source.retired = sequence(1);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "refused");
    expect(up.sender.lastError?.code).toBe("link.behind");
  });
});

describe("the welcome", () => {
  it("brings the position, and holds until the owner says from where to stream", async () => {
    const universe = new MemoryUniverse(1);
    const down = await downstream(universe);
    down.sink.promised = epoch(1);
    const up = upstream(universe, { resume: () => "hold" });
    up.source.fill(5);
    up.committed = sequence(5);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "holding");
    expect(up.sender.position).toEqual({ promised: 1, lastEpoch: 0, appended: 0 });
    expect(new TextDecoder().decode(await universe.result(up.sender.call("m", bytes("x"), millis(100))))).toBe("x");
    await universe.advance(2000);
    expect(down.sink.accepted).toHaveLength(0);
    up.sender.stream(sequence(1));
    await universe.run(() => up.sender.hop === 5);
    expect(difference(up.source, down.sink)).toBeUndefined();
  });

  it("counts no ACK, and tells no commit, of requests that the two sites have not agreed on", async () => {
    const universe = new MemoryUniverse(1);
    const down = await downstream(universe);
    down.sink.appended = sequence(9);
    const up = upstream(universe, { resume: () => "hold" });
    up.source.fill(7);
    up.committed = sequence(7);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "holding");
    await universe.advance(2000);
    expect([up.sender.hop, up.sender.end, down.sink.committed]).toEqual([0, 0, 0]);
    // The owner had the other site cut its journal at 4.
    down.sink.appended = sequence(4);
    up.sender.stream(sequence(5));
    await universe.run(() => up.sender.hop === 7);
    expect(down.sink.accepted.map((request) => request.sequence)).toEqual([5, 6, 7]);
  });

  it("shows the owner's reason at both ends when the link can't go on, and tries again slowly", async () => {
    const universe = new MemoryUniverse(1);
    const down = await downstream(universe);
    const error = new OperatingError("mirror.diverged", "The sites have diverged.", "Choose one.");
    const up = upstream(universe, { resume: () => error });
    up.sender.start();
    await universe.run(() => down.listener.peers[0].lastError !== undefined);
    expect(up.sender.state).toMatchObject({ kind: "refused", error: { code: "mirror.diverged" } });
    expect(down.listener.peers[0].lastError).toMatchObject({ code: "mirror.diverged" });
    await universe.advance(60_000);
    expect(up.sender.counters.attempts).toBeGreaterThan(4);
    expect(up.sender.counters.attempts).toBeLessThan(14);
  });

  it("drops requests that the other site has, sent again after an owner's cautious answer", async () => {
    const universe = new MemoryUniverse(1);
    const down = await downstream(universe);
    const up = upstream(universe, { resume: () => sequence(1) });
    up.source.fill(6);
    for (let number = 1; number <= 4; number++) down.sink.accept(makeRequest(number));
    up.sender.start();
    await universe.run(() => up.sender.hop === 6);
    expect(difference(up.source, down.sink)).toBeUndefined();
    expect(down.listener.peers[0].counters.duplicates).toBe(4);
  });

  it("ends the session at a gap, and comes back", async () => {
    const universe = new MemoryUniverse(1);
    const down = await downstream(universe);
    let answers = 0;
    const up = upstream(universe, { resume: () => sequence(answers++ === 0 ? 3 : 1) });
    up.source.fill(5);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "waiting");
    expect(up.sender.lastError?.code).toBe("link.gap");
    expect(down.listener.peers[0].lastError).toMatchObject({ code: "link.gap" });
    expect(down.sink.accepted).toHaveLength(0);
    await universe.run(() => up.sender.hop === 5);
    expect(difference(up.source, down.sink)).toBeUndefined();
  });
});

describe("credit and room", () => {
  it("never has more under way than the receiver granted", async () => {
    const universe = new MemoryUniverse(5);
    const down = await downstream(universe);
    down.sink.credit = 300_000;
    down.sink.hopHeldAt = 0;
    let most = 0;
    const up = upstream(universe);
    up.source.fill(300, 32);
    up.sender.start();
    await universe.run(() => {
      const underWay = up.sender.counters.bytes - (down.listener.peers[0].counters.bytes as number);
      most = Math.max(most, underWay);
      return down.sink.appended === 300;
    });
    expect(most).toBeLessThanOrEqual(300_000);
    expect(most).toBeGreaterThan(200_000);
  });

  it("stops at the credit, and goes on when there is more", async () => {
    const universe = new MemoryUniverse(5);
    const down = await downstream(universe);
    down.sink.credit = 5000 * 3;
    down.sink.onAccept = () => {
      down.sink.credit = Math.max(0, down.sink.credit - 5000);
    };
    const up = upstream(universe);
    up.source.fill(10);
    up.sender.start();
    await universe.run(() => up.sender.hop === 3);
    await universe.advance(5000);
    expect(down.sink.appended).toBe(3);
    expect(up.sender.state.kind).toBe("streaming");
    down.sink.credit = MiB;
    down.listener.roomAvailable();
    await universe.run(() => up.sender.hop === 10);
  });

  it("keeps one request that finds no room, stops reading, and offers it again", async () => {
    const universe = new MemoryUniverse(6);
    const down = await downstream(universe);
    down.sink.room = 2;
    const up = upstream(universe);
    up.source.fill(40, 16);
    up.sender.start();
    await universe.run(() => down.sink.refused === 1);
    // Longer than silence: heartbeats go on, a stalled stream is no lost link.
    await universe.advance(10_000);
    expect(up.sender.state.kind).toBe("streaming");
    expect(up.sender.counters.sessions).toBe(1);
    expect(down.sink.refused).toBe(1);
    down.sink.room = 1;
    down.listener.roomAvailable();
    await universe.run(() => down.sink.appended === 3);
    down.sink.room = Number.POSITIVE_INFINITY;
    down.listener.roomAvailable();
    await universe.run(() => up.sender.hop === 40);
    expect(difference(up.source, down.sink)).toBeUndefined();
  });
});

it("drops a request that waited for room and has come another way meanwhile", async () => {
  const universe = new MemoryUniverse(6);
  const down = await downstream(universe);
  down.sink.room = 2;
  const up = upstream(universe);
  up.source.fill(6);
  up.sender.start();
  await universe.run(() => down.sink.refused === 1);
  down.sink.room = Number.POSITIVE_INFINITY;
  down.sink.accept(makeRequest(3));
  down.listener.roomAvailable();
  await universe.run(() => up.sender.hop === 6);
  expect(difference(up.source, down.sink)).toBeUndefined();
  expect(down.listener.peers[0].counters.duplicates).toBe(1);
});

it("pauses the data connection while a request waits for room, and only then", async () => {
  const universe = new MemoryUniverse(6);
  const world = universe.world("boulder");
  const paused = new Set<Connection>();
  const network = tappedNetwork(world.network, (connection, bytes) => connection.write(bytes));
  const watched: Network = {
    ...network,
    listen: (address, handlers) =>
      network.listen(address, (connection) => {
        const { pause, resume } = connection;
        connection.pause = () => {
          paused.add(connection);
          pause();
        };
        connection.resume = () => {
          paused.delete(connection);
          resume();
        };
        return handlers(connection);
      }),
  };
  Object.assign(world, { network: watched });
  const down = await downstream(universe);
  down.sink.room = 2;
  const up = upstream(universe);
  up.source.fill(100, 16);
  up.sender.start();
  await universe.run(() => down.sink.refused === 1);
  expect(paused.size).toBe(1);
  down.sink.room = 1;
  down.listener.roomAvailable();
  await universe.run(() => down.sink.refused === 2);
  expect(paused.size).toBe(1);
  down.sink.room = Number.POSITIVE_INFINITY;
  down.listener.roomAvailable();
  await universe.run(() => up.sender.hop === 100);
  expect(paused.size).toBe(0);
});

describe("refusals", () => {
  const cases: readonly (readonly [string, string, Parameters<typeof upstream>[1], RegExp])[] = [
    ["another group", "link.group", { group: "test" }, /group test.*group prod|group prod.*group test/],
    ["a stranger", "link.stranger", { site: "aspen" }, /aspen/],
    [
      "a wrong address",
      "link.site",
      { remote: { site: "pueblo", address: { host: "boulder", port: 7400 } } },
      /pueblo.*boulder/,
    ],
    ["another size", "link.volumes", { volumes: [{ ...VOLUMES[0], blocks: 5 }] }, /has 100000 blocks at boulder/],
    ["another name", "link.volumes", { volumes: [{ ...VOLUMES[0], name: "web" }] }, /is db01 at boulder and web at/],
    [
      "a missing volume",
      "link.volumes",
      { volumes: [...VOLUMES, { id: volumeId(3), name: "log", blocks: 8 }] },
      /volume 3 \(log\) is missing at boulder/,
    ],
    [
      "an extra volume",
      "link.volumes",
      { volumes: [{ id: volumeId(3), name: "log", blocks: 8 }] },
      /volume 0 \(db01\) is missing at (denver|aspen)/,
    ],
  ];
  it.each(cases)("%s: %s, shown at both ends, retried slowly", async (_, code, options, text) => {
    const universe = new MemoryUniverse(7);
    const down = await downstream(universe);
    const up = upstream(universe, options);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "refused");
    expect(up.sender.lastError?.code).toBe(code);
    expect(up.sender.lastError?.what).toMatch(text);
    const shown = down.listener.peers[0].lastError ?? down.listener.lastError;
    expect(shown).toMatchObject({ code });
    await universe.advance(60_000);
    expect(up.sender.counters.attempts).toBeLessThan(14);
    expect(down.world).toBeDefined();
  });

  it("a relay without volumes of its own takes any", async () => {
    const universe = new MemoryUniverse(7);
    const down = await downstream(universe, { volumes: [] });
    const up = upstream(universe);
    up.source.fill(2);
    up.sender.start();
    await universe.run(() => up.sender.hop === 2);
    expect(difference(up.source, down.sink)).toBeUndefined();
  });

  it("a request outside its volume ends the session", async () => {
    const universe = new MemoryUniverse(7);
    const down = await downstream(universe);
    const up = upstream(universe);
    up.source.add({ ...makeRequest(1), lba: 100_000 as never });
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "waiting");
    expect(up.sender.lastError?.code).toBe("link.volumes");
    expect(down.sink.accepted).toHaveLength(0);
  });
});

describe("fencing", () => {
  it("a session of a lower epoch is told the promised one, and never heard", async () => {
    const universe = new MemoryUniverse(8);
    const down = await downstream(universe);
    down.sink.promised = epoch(9);
    const up = upstream(universe);
    up.source.fill(2);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "refused");
    expect(up.fencedBy).toEqual([9]);
    expect(up.sender.lastError?.code).toBe("link.fenced");
    expect(down.listener.peers[0].lastError).toMatchObject({ code: "link.fenced" });
    await universe.advance(30_000);
    expect(down.sink.accepted).toHaveLength(0);
    expect(up.sender.counters.attempts).toBeLessThan(9);
  });

  it("a higher epoch is promised before anything else happens", async () => {
    const universe = new MemoryUniverse(8);
    const down = await downstream(universe);
    down.sink.promised = epoch(3);
    down.sink.promiseMillis = 700;
    const up = upstream(universe);
    up.epoch = epoch(4);
    up.sender.start();
    const began = universe.now;
    await universe.run(() => up.sender.state.kind === "streaming");
    expect(universe.now - began).toBeGreaterThan(699);
    expect(up.sender.position?.promised).toBe(4);
  });

  it("a session whose epoch grows goes on, in order, once that is promised", async () => {
    const universe = new MemoryUniverse(8);
    const down = await downstream(universe);
    down.sink.promiseMillis = 300;
    const up = upstream(universe);
    up.source.fill(5);
    up.sender.start();
    await universe.run(() => up.sender.hop === 5);
    up.epoch = epoch(2);
    up.source.fill(5, 1, 2);
    up.sender.notify();
    const began = universe.now;
    await universe.run(() => up.sender.hop === 10);
    expect(universe.now - began).toBeGreaterThan(299);
    expect(down.sink.promised).toBe(2);
    expect(up.sender.counters.sessions).toBe(1);
    expect(difference(up.source, down.sink)).toBeUndefined();
  });

  it("a new primary's epoch ends the old one's session at once", async () => {
    const universe = new MemoryUniverse(8);
    const down = await downstream(universe);
    const old = upstream(universe);
    old.source.fill(3);
    old.sender.start();
    await universe.run(() => old.sender.hop === 3);
    const next = upstream(universe, { site: "springs", resume: () => "hold" });
    next.source.fill(3);
    next.epoch = epoch(2);
    next.source.fill(2, 1, 2);
    next.sender.start();
    // At once: not when the old primary's next heartbeat comes.
    await universe.run(() => old.fencedBy.length > 0, { deadline: 30 });
    expect(old.fencedBy[0]).toBe(2);
    await universe.run(() => next.sender.state.kind === "holding");
    next.sender.stream(sequence(4));
    await universe.run(() => next.sender.hop === 5);
    old.source.fill(1);
    old.sender.notify();
    await universe.advance(5000);
    expect(down.sink.accepted.map((request) => request.epoch)).toEqual([1, 1, 1, 2, 2]);
  });

  it("a promise that this site made by itself fences a session that is up", async () => {
    const universe = new MemoryUniverse(8);
    const down = await downstream(universe);
    const up = upstream(universe);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "streaming");
    down.sink.promised = epoch(6);
    up.source.fill(1);
    up.sender.notify();
    await universe.run(() => up.fencedBy.length > 0);
    expect(up.fencedBy[0]).toBe(6);
    expect(down.sink.accepted).toHaveLength(0);
  });

  it("a promise that can't be made refuses the session with its reason", async () => {
    const universe = new MemoryUniverse(8);
    const down = await downstream(universe);
    down.sink.promiseError = new OperatingError("journal.failed", "The journal has failed.", "Replace its drive.");
    const up = upstream(universe);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "refused");
    expect(up.sender.lastError?.code).toBe("journal.failed");
  });
});

describe("calls", () => {
  async function linked(seed = 9) {
    const universe = new MemoryUniverse(seed);
    const down = await downstream(universe);
    const up = upstream(universe);
    up.sender.start();
    await universe.run(() => up.sender.state.kind === "streaming");
    return { universe, down, up };
  }

  it.each([0, 1, 64 * KiB, 64 * KiB + 1, 4 * MiB])("carry a body of %i bytes there and back", async (size) => {
    const { universe, down, up } = await linked();
    const body = Uint8Array.from({ length: size }, (_, at) => at * 7 + (at >> 10));
    const seen: unknown[] = [];
    down.sink.onCall = (method, got, from) => {
      seen.push([method, from, got.length]);
      return Promise.resolve(got);
    };
    const answer = await universe.result(up.sender.call("verify", body, millis(5000)));
    expect(Buffer.from(answer).equals(body)).toBe(true);
    expect(seen).toEqual([["verify", "denver", size]]);
  });

  it("bring an operating error of the other site back whole", async () => {
    const { universe, down, up } = await linked();
    down.sink.onCall = () => Promise.reject(new OperatingError("array.degraded", "A drive is gone.", "Replace it."));
    const failed = universe.result(up.sender.call("verify", bytes(""), millis(1000)));
    await expect(failed).rejects.toMatchObject({
      code: "array.degraded",
      what: "A drive is gone.",
      remedy: "Replace it.",
    });
  });

  it("give up at their deadline, and keep their place until the answer is in", async () => {
    const { universe, down, up } = await linked();
    const answers: ((body: Uint8Array) => void)[] = [];
    down.sink.onCall = () => new Promise((resolve) => answers.push(resolve));
    const began = universe.now;
    await expect(universe.result(up.sender.call("slow", bytes("a"), millis(700)))).rejects.toMatchObject({
      code: "link.timeout",
    });
    expect(universe.now - began).toBeGreaterThanOrEqual(700);
    expect(universe.now - began).toBeLessThan(705);
    const rest = Array.from({ length: 15 }, () => up.sender.call("slow", bytes("b"), millis(5000)));
    await expect(up.sender.call("slow", bytes("c"), millis(5000))).rejects.toMatchObject({ code: "link.busy" });
    await universe.run(() => answers.length === 16);
    for (const answer of answers) answer(bytes("done"));
    expect((await universe.result(Promise.all(rest))).length).toBe(15);
    const again = universe.result(up.sender.call("slow", bytes("d"), millis(5000)));
    await universe.run(() => answers.length === 17).catch(() => {});
    await again.catch(() => {});
  });

  it("are lost with the link", async () => {
    const { universe, down, up } = await linked();
    down.sink.onCall = () => new Promise(() => {});
    const call = up.sender.call("slow", bytes("a"), millis(60_000));
    call.catch(() => {});
    universe.network.partition("denver", "boulder");
    await expect(universe.result(call)).rejects.toMatchObject({ code: "link.lost" });
    await expect(up.sender.call("more", bytes(""), millis(10))).rejects.toMatchObject({ code: "link.lost" });
  });

  it("that are too large are refused here", async () => {
    const { up } = await linked();
    const call = up.sender.call("big", new Uint8Array(4 * MiB + 1), millis(10));
    await expect(call).rejects.toMatchObject({ code: "link.oversized" });
  });

  it("and heartbeats do not wait behind data", async () => {
    const { universe, down, up } = await linked();
    down.sink.room = 0;
    up.source.fill(50, 256);
    up.sender.notify();
    await universe.run(() => down.sink.refused > 0);
    const began = universe.now;
    await universe.result(up.sender.call("verify", bytes("now"), millis(5000)));
    expect(universe.now - began).toBeLessThan(20);
    await universe.advance(1000);
    expect(up.sender.roundTrip).toBeGreaterThan(0);
    expect(up.sender.roundTrip).toBeLessThan(3);
  });

  it("do not silence a slow link while their bodies cross it", async () => {
    const { universe, up } = await linked();
    // What the transport has taken already takes longer to cross than silence may last.
    universe.network.linkOneWay("denver", "boulder", { bytesPerSecond: 60_000 });
    const call = up.sender.call("big", new Uint8Array(MiB), millis(60_000));
    expect((await universe.result(call)).length).toBe(MiB);
    expect(up.sender.counters.sessions).toBe(1);
  });
});

it("gives every buffer back when it is stopped", async () => {
  const universe = new MemoryUniverse(10);
  const down = await downstream(universe);
  const up = upstream(universe);
  up.source.fill(20, 256);
  up.source.onDrive = 10;
  up.sender.start();
  await universe.run(() => up.sender.hop > 5);
  up.sender.stop();
  down.listener.close();
  await universe.advance(5000);
  expect(up.sender.state.kind).toBe("stopped");
  expect(universe.world("denver").memory.outstanding).toBe(0);
  expect(universe.world("boulder").memory.outstanding).toBe(0);
  expect(universe.network.connections).toBe(0);
});

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
