import { expect, test } from "vitest";
import { OperatingError } from "../../base/operating-error.ts";
import { BLOCK_BYTES, lba, MiB, millis } from "../../base/units.ts";
import { sleep, type Timer } from "../clock.ts";
import type { Connection } from "../network.ts";
import { MemoryUniverse } from "./memory-world.ts";

/** A run in which two sites talk, write, set timers and have faults, all of it up to chance. */
async function busyRun(seed: number): Promise<MemoryUniverse> {
  const universe = new MemoryUniverse(seed);
  const media = universe.addDrive("denver", "/dev/a", MiB, { cache: "battery" });
  media.inject({ on: "write", action: "misdirect", times: 5 });
  universe.machine("denver").battery.fail();
  universe.network.configure({ segmentBytes: [1, 1000] });
  universe.network.flipBits("denver", "boulder", 0.1);
  const boulder = universe.world("boulder");
  let received = 0;
  await universe.result(
    boulder.network.listen({ host: "boulder", port: 7400 }, (connection) => ({
      onData: (bytes) => {
        received += bytes.length;
        connection.write(bytes.subarray(0, 10));
      },
      onDrain: () => {},
      onClose: () => {},
    })),
  );
  const denver = universe.world("denver");
  const drive = await universe.result(denver.drives.open("/dev/a", "read-write"));
  const connection = await universe.result(
    denver.network.connect({ host: "boulder", port: 7400 }, () => ({
      onData: () => {},
      onDrain: () => {},
      onClose: () => {},
    })),
  );
  const block = new Uint8Array(BLOCK_BYTES);
  denver.random.fill(block);
  const work = async () => {
    for (let round = 0; round < 20; round++) {
      await Promise.all([
        drive.write(lba(denver.random.below(64)), block),
        drive.write(lba(64 + denver.random.below(64)), block, { fua: true }),
        sleep(denver.clock, millis(denver.random.below(3))),
      ]);
      connection.write(block);
    }
    await drive.flush();
  };
  await universe.result(work());
  await universe.run(() => received === 20 * BLOCK_BYTES);
  universe.machine("denver").crash();
  await universe.advance(1000);
  return universe;
}

test("the same seed gives the same run, another one another", async () => {
  const first = await busyRun(1);
  const again = await busyRun(1);
  const other = await busyRun(2);
  expect(again.traceHash).toBe(first.traceHash);
  expect(again.events).toBe(first.events);
  const contents = (universe: MemoryUniverse) => universe.machine("denver").drive("/dev/a").contents();
  expect(Buffer.compare(contents(again), contents(first))).toBe(0);
  expect(other.traceHash).not.toBe(first.traceHash);
});

test("what a process draws does not depend on what others draw", () => {
  const one = new MemoryUniverse(5);
  const two = new MemoryUniverse(5);
  two.world("boulder").random.below(10);
  expect(one.world("denver").random.below(1e9)).toBe(two.world("denver").random.below(1e9));
});

test("a run that does not get there in time says when, why, and what happened last", async () => {
  const universe = new MemoryUniverse(7);
  const { clock } = universe.world("denver");
  const tick = () => clock.after(millis(10), tick);
  tick();
  const failed = await universe.run(() => false, { deadline: 100 }).catch((error: Error) => error.message);
  expect(failed).toContain("the condition did not hold within 100 ms; now 100.000 ms, seed 7, 10 events");
  expect(failed).toContain("  90.000 ms  denver: timer\n  100.000 ms  denver: timer\nNext: 110.000 ms  timer");
  expect(universe.now).toBe(100);
});

test("a run in which nothing can happen any more does not wait for its deadline", async () => {
  const universe = new MemoryUniverse(7);
  await expect(universe.run(() => false)).rejects.toThrow("nothing is left that could happen");
  await expect(universe.result(new Promise(() => {}))).rejects.toThrow("nothing is left that could happen");
});

test("events without end in one instant are found out", async () => {
  const universe = new MemoryUniverse(7);
  const { clock } = universe.world("denver");
  const again = () => void clock.after(millis(0), again);
  again();
  await expect(universe.advance(1)).rejects.toThrow("time stands still");
  const turns = new MemoryUniverse(7);
  const turn = () => turns.world("denver").clock.afterTurn(turn);
  turn();
  await expect(turns.advance(1)).rejects.toThrow("a turn without end");
});

test("only one run at a time", async () => {
  const universe = new MemoryUniverse(7);
  let inside: Promise<void> | undefined;
  universe.after(1, () => {
    inside = universe.advance(1);
    inside.catch(() => {});
  });
  await universe.advance(5);
  await expect(inside).rejects.toThrow("already running");
});

test("a run waits for one that has let the test runner have its turn", async () => {
  const universe = new MemoryUniverse(7);
  const { clock } = universe.world("denver");
  let ticks = 0;
  const tick = () => {
    if (++ticks < 50_000) clock.after(millis(0.001), tick);
  };
  tick();
  const order: string[] = [];
  await Promise.all([
    universe.run(() => ticks === 50_000).then(() => order.push("run")),
    universe.advance(10).then(() => order.push("advance")),
  ]);
  expect(order).toEqual(["run", "advance"]);
  expect(universe.now).toBeCloseTo(60, 1);
});

test("what a timer throws comes out of the run", async () => {
  const universe = new MemoryUniverse(7);
  universe.world("denver").clock.after(millis(1), () => {
    throw new Error("broken");
  });
  await expect(universe.advance(5)).rejects.toThrow("broken");
  await universe.advance(5);
});

test("a promise that rejects before anybody looks at it is not lost", async () => {
  const universe = new MemoryUniverse(7);
  const opened = universe.world("denver").drives.open("/dev/none", "read-write");
  await universe.advance(5);
  await expect(opened).rejects.toMatchObject({ code: "drive.missing" });
});

test("a turn: the event, its microtasks, then afterTurn, then the next event", async () => {
  const universe = new MemoryUniverse(3);
  const { clock } = universe.world("denver");
  const order: string[] = [];
  for (const name of ["a", "b"]) {
    clock.after(millis(1), () => {
      clock.afterTurn(() => {
        order.push(`${name} after`);
        Promise.resolve().then(() => order.push(`${name} after's microtask`));
      });
      order.push(name);
      const microtasks = async () => {
        for (let count = 0; count < 50; count++) await null;
        order.push(`${name} microtasks`);
      };
      void microtasks();
    });
  }
  await universe.advance(1);
  const turn = (name: string) => [name, `${name} microtasks`, `${name} after`, `${name} after's microtask`];
  expect([
    [...turn("a"), ...turn("b")],
    [...turn("b"), ...turn("a")],
  ]).toContainEqual(order);
});

test("timers come up in their order and can be cancelled", async () => {
  const universe = new MemoryUniverse(3);
  const { clock } = universe.world("denver");
  const start = clock.now();
  const times: number[] = [];
  const timers = Array.from({ length: 1000 }, (_, index) => {
    const delay = (index * 389) % 1000;
    const timer = clock.after(millis(delay), () => times.push(clock.now() - start));
    return { delay, timer };
  });
  for (const { delay, timer } of timers) if (delay % 10 !== 0) timer.cancel();
  await universe.advance(2000);
  expect(times.map(Math.round)).toEqual(Array.from({ length: 100 }, (_, index) => index * 10));
  timers[0].timer.cancel();
});

test("of events at one time any comes first", async () => {
  const firsts = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const universe = new MemoryUniverse(seed);
    const order: string[] = [];
    for (const name of ["a", "b", "c"]) universe.world(name).clock.after(millis(1), () => order.push(name));
    await universe.advance(2);
    expect(order).toHaveLength(3);
    firsts.add(order[0]);
  }
  expect(firsts.size).toBe(3);
});

test("a timer that came up while its process was stopped can still be cancelled", async () => {
  const universe = new MemoryUniverse(3);
  const machine = universe.machine("denver");
  const { clock } = machine.world;
  let ran = 0;
  const one: Timer = clock.after(millis(1), () => {
    ran++;
    other.cancel();
  });
  const other: Timer = clock.after(millis(1), () => {
    ran++;
    one.cancel();
  });
  machine.pause();
  await universe.advance(10);
  machine.resume();
  await universe.advance(10);
  expect(ran).toBe(1);
});

test("clocks: a monotonic one for each life, a wall clock that steps, drift", async () => {
  const universe = new MemoryUniverse(3);
  const machine = universe.machine("denver");
  const { clock } = machine.world;
  const start = clock.now();
  const wall = clock.wallClock();
  machine.stepWallClock(-5000);
  expect(clock.wallClock()).toBe(wall - 5000);
  machine.setClockDrift(100_000);
  await universe.advance(1000);
  expect(clock.now() - start).toBeCloseTo(1100, 3);
  expect(clock.wallClock()).toBe(wall - 5000 + 1100);
  let rangAt = 0;
  clock.after(millis(110), () => {
    rangAt = universe.now;
  });
  await universe.advance(200);
  expect(rangAt).toBeCloseTo(1100, 3);
  machine.crash();
  const dead = clock.now();
  await universe.advance(50);
  expect(clock.now()).toBe(dead);
  expect(Math.abs(machine.restart().clock.now() - dead)).toBeGreaterThan(1000);
});

test("nothing of a dead process is ever told anything, whatever it waited for", async () => {
  for (const end of ["crash", "kill"] as const) {
    const universe = new MemoryUniverse(11);
    universe.addDrive("denver", "/dev/a", MiB);
    const other = universe.world("boulder");
    const peers: Connection[] = [];
    await universe.result(
      other.network.listen({ host: "boulder", port: 1 }, (connection) => {
        peers.push(connection);
        return { onData: () => {}, onDrain: () => {}, onClose: () => {} };
      }),
    );
    const world = universe.world("denver");
    let dead = false;
    const told: string[] = [];
    const tell = (what: string) => () => void (dead && told.push(what));
    const drive = await universe.result(world.drives.open("/dev/a", "read-write"));
    const connection = await universe.result(
      world.network.connect({ host: "boulder", port: 1 }, () => ({
        onData: tell("data"),
        onDrain: tell("drain"),
        onClose: tell("close"),
      })),
    );
    await universe.result(
      world.network.listen({ host: "denver", port: 1 }, () => {
        tell("accept")();
        return { onData: tell("data"), onDrain: tell("drain"), onClose: tell("close") };
      }),
    );
    world.clock.after(millis(5), tell("timer"));
    world.clock.afterTurn(tell("after turn"));
    const block = new Uint8Array(BLOCK_BYTES);
    const waiting = (what: string, pending: Promise<unknown> | undefined) => void pending?.then(tell(what), tell(what));
    waiting("write", drive.write(lba(0), block));
    waiting("read", drive.read(lba(1), new Uint8Array(BLOCK_BYTES)));
    waiting("flush", drive.flush());
    waiting("open", world.drives.open("/dev/none", "read-only"));
    waiting(
      "connect",
      world.network.connect({ host: "boulder", port: 1 }, () => ({
        onData: tell("data"),
        onDrain: tell("drain"),
        onClose: tell("close"),
      })),
    );
    connection.write(new Uint8Array(MiB));
    peers[0].write(new Uint8Array(MiB));
    universe.machine("denver").pause();
    await universe.advance(0.05);
    universe.machine("denver")[end]();
    dead = true;
    universe.machine("denver").resume();
    // nor what it asks for after its death
    waiting("write", drive.write(lba(0), block));
    waiting("open", world.drives.open("/dev/a", "read-only"));
    waiting(
      "connect",
      world.network.connect({ host: "boulder", port: 1 }, () => ({
        onData: () => {},
        onDrain: () => {},
        onClose: () => {},
      })),
    );
    waiting(
      "listen",
      world.network.listen({ host: "denver", port: 2 }, () => ({
        onData: () => {},
        onDrain: () => {},
        onClose: () => {},
      })),
    );
    world.clock.after(millis(1), tell("timer"));
    world.clock.afterTurn(tell("after turn"));
    expect(connection.write(block)).toBe(0);
    connection.close();
    connection.abort();
    await universe.advance(10_000);
    universe.machine("denver").restart();
    await universe.advance(10_000);
    expect(told).toEqual([]);
  }
});

test("a stopped process is told everything once it goes on, and nothing before", async () => {
  const universe = new MemoryUniverse(12);
  universe.addDrive("denver", "/dev/a", MiB);
  const world = universe.world("denver");
  const drive = await universe.result(world.drives.open("/dev/a", "read-write"));
  const told: string[] = [];
  world.clock.after(millis(1), () => void told.push("timer"));
  world.clock.after(millis(2), () => void told.push("never")).cancel();
  void drive.write(lba(0), new Uint8Array(BLOCK_BYTES).fill(1))?.then(() => told.push("write"));
  world.clock.afterTurn(() => void told.push("after turn"));
  universe.machine("denver").pause();
  await universe.advance(100);
  expect(told).toEqual([]);
  expect(universe.machine("denver").drive("/dev/a").contents(0, 1)[0]).toBe(1);
  universe.machine("denver").resume();
  await universe.advance(1);
  expect(told.sort()).toEqual(["after turn", "timer", "write"]);
});

test("a machine that is down has no World, and one that is up cannot be restarted", () => {
  const universe = new MemoryUniverse(1);
  const machine = universe.machine("denver");
  expect(() => machine.restart()).toThrow("denver is running");
  machine.crash();
  expect(machine.state).toBe("down");
  expect(() => machine.world).toThrow("denver is down");
  machine.restart();
  machine.kill();
  expect(machine.state).toBe("ended");
  machine.crash();
  expect(machine.state).toBe("down");
  expect(machine.restart()).toBe(universe.world("denver"));
  expect(machine.lives).toBe(3);
});

test("freed memory holds no data, and is freed once", () => {
  const { memory } = new MemoryUniverse(1).world("denver");
  const buffer = memory.allocate(100);
  expect(buffer).toEqual(new Uint8Array(100));
  expect(memory.outstanding).toBe(1);
  memory.free(buffer);
  expect(buffer[0]).not.toBe(0);
  expect(() => memory.free(buffer)).toThrow("not allocated");
});

test("result passes on what a promise gives and what it fails with", async () => {
  const universe = new MemoryUniverse(1);
  const { clock } = universe.world("denver");
  const answer = async () => {
    await sleep(clock, millis(5));
    return 42;
  };
  expect(await universe.result(answer())).toBe(42);
  const failing = async () => {
    await sleep(clock, millis(5));
    throw new OperatingError("a.b", "It failed.", "Try again.");
  };
  await expect(universe.result(failing())).rejects.toMatchObject({ code: "a.b" });
  await expect(universe.result(sleep(clock, millis(500)), { deadline: 100 })).rejects.toThrow("within 100 ms");
  expect(await universe.result(undefined)).toBe(undefined);
});

test("a busy universe stays quick", async () => {
  const universe = new MemoryUniverse(1);
  const { clock } = universe.world("denver");
  let left = 200_000;
  const tick = () => {
    if (left-- > 0) clock.after(millis(0.01), tick);
  };
  for (let timer = 0; timer < 16; timer++) tick();
  const started = performance.now();
  await universe.run(() => left <= 0, { deadline: 100_000 });
  expect(universe.events).toBeGreaterThan(190_000);
  // ten times what it takes
  expect(performance.now() - started).toBeLessThan(4000);
});
