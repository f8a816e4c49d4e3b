import { describe, expect, it } from "vitest";
import { millis } from "../../base/units.ts";
import { elapsed, sleep } from "../clock.ts";
import { linuxClock } from "./linux-clock.ts";

describe("the clock of this machine", () => {
  const clock = linuxClock();

  it("goes forward in milliseconds, with the machine's other clock", async () => {
    const [start, wallStart] = [clock.now(), clock.wallClock()];
    await sleep(clock, millis(30));
    const passed = elapsed(clock, start);
    expect(passed).toBeGreaterThanOrEqual(29);
    expect(Math.abs(passed - (clock.wallClock() - wallStart))).toBeLessThan(20);
  });

  it("runs a timer once, and a cancelled one never", async () => {
    const ran: string[] = [];
    clock.after(millis(5), () => ran.push("kept"));
    clock.after(millis(5), () => ran.push("cancelled")).cancel();
    await sleep(clock, millis(30));
    expect(ran).toEqual(["kept"]);
  });

  it("ends a turn after its microtasks, running everything asked for once and in order", async () => {
    const ran: string[] = [];
    const done = new Promise<void>((resolve) => {
      clock.afterTurn(() => {
        ran.push("first");
        clock.afterTurn(() => {
          ran.push("next turn");
          resolve();
        });
      });
      clock.afterTurn(() => ran.push("second"));
    });
    queueMicrotask(() => queueMicrotask(() => ran.push("microtask")));
    ran.push("now");
    await done;
    expect(ran).toEqual(["now", "microtask", "first", "second", "next turn"]);
  });

  it("does not keep timers from running while every turn asks for another", async () => {
    let turns = 0;
    let stop = false;
    const again = () => {
      turns++;
      if (!stop) clock.afterTurn(again);
    };
    again();
    await sleep(clock, millis(10));
    stop = true;
    expect(turns).toBeGreaterThan(10);
  });
});
