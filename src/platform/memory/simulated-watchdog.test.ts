import { expect, it } from "vitest";
import { millis } from "../../base/units.ts";
import { watchdogCases } from "../watchdog.cases.ts";
import { MemoryUniverse } from "./memory-world.ts";

const PATH = "/dev/watchdog";
let seed = 0;

watchdogCases("simulated", (nature) => {
  const universe = new MemoryUniverse(++seed);
  const machine = universe.machine("denver");
  const device = machine.addWatchdog(PATH, nature);
  return {
    get watchdogs() {
      return machine.world.watchdogs;
    },
    path: PATH,
    vacantPath: "/dev/watchdog7",
    get isReset() {
      return machine.state === "down";
    },
    run: (pending) => universe.result(pending),
    elapse: (time) => universe.advance(time),
    restartProcess: () => {
      machine.kill();
      machine.restart();
    },
    boot: () => machine.restart(),
    break: () => device.break(),
  };
});

it("resets a machine whose process stands still, and forgets it at the next power cut", async () => {
  const universe = new MemoryUniverse(1);
  const machine = universe.machine("denver");
  machine.addWatchdog(PATH);
  let resets = 0;
  machine.onReset = () => resets++;
  const open = () => universe.result(machine.world.watchdogs.open(PATH));
  const watchdog = await open();
  watchdog.setTimeout(millis(5000));
  machine.pause();
  await universe.advance(5001);
  expect(resets).toBe(1);
  expect(machine.state).toBe("down");
  // what the dead process still does has no effect
  watchdog.feed();
  machine.restart();
  expect((await open()).causedLastBoot).toBe(true);
  machine.crash();
  await universe.advance(120_000);
  expect(resets).toBe(1);
  machine.restart();
  expect((await open()).causedLastBoot).toBe(false);
});
