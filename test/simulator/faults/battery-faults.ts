/**
 * What happens to the batteries of the journals' drives, and to the gauges that tell of them. Inside the budget the power
 * stays while a battery does not hold, but not while only its gauge has failed.
 */

import type { Battery, GaugeFault } from "../../../src/platform/memory/memory-world.ts";
import { anySite, type Fault, type Scene } from "./fault.ts";

/** How a battery that does not hold may look. */
const LOOKS: readonly Parameters<Battery["fail"]>[0][] = [
  { state: "failed", charge: 0 },
  { state: "failed", charge: 100 },
  { state: "low", charge: 4 },
  { state: "discharging", charge: 95 },
  { state: "good", charge: 35 },
  { state: "good", charge: undefined },
];

const GAUGE_FAULTS: readonly GaugeFault[] = ["repeats", "repeats", "silent", "refuses"];
const GAUGE_WORDS: Readonly<Record<GaugeFault, string>> = {
  repeats: "repeats itself",
  silent: "is silent",
  refuses: "refuses",
};
/** Virtual milliseconds for which a battery does not hold, mostly longer than from one reading to the next. */
const FAILED_MOST = 5000;
/** Virtual milliseconds, more than readings are trusted for. */
const STALE_MOST = 20_000;

/** A site whose journal's drive has a cache that a battery keeps. */
function siteWithBattery(scene: Scene): string | undefined {
  return scene.system.topology.journalDrive?.cache === "battery" ? anySite(scene) : undefined;
}

function failBattery({ system, budget, random, lasting }: Scene, name: string, length: number): void {
  const { battery } = system.universe.machine(name);
  battery.fail(random.pick(LOOKS));
  lasting(length, () => {
    battery.recover();
    budget.batteryRecovered(name);
  });
}

function flapBattery(scene: Scene, name: string, length: number): void {
  const { system, random } = scene;
  const { battery } = system.universe.machine(name);
  // Slowly enough for it to be seen each way, and so fast that it is seen as it comes.
  const pause = random.pick([300, 3000]);
  let isOver = false;
  const flap = () => {
    if (isOver) return;
    if (battery.holds) battery.fail(random.pick(LOOKS));
    else battery.recover();
    system.universe.after(random.below(pause), flap);
  };
  failBattery(scene, name, length);
  flap();
  scene.lasting(length, () => {
    isOver = true;
    battery.recover();
  });
}

export const BATTERY_FAULTS: readonly Fault[] = [
  {
    name: "a battery fails",
    weight: 1,
    strike: (scene) => {
      const name = siteWithBattery(scene);
      if (name === undefined || !scene.budget.failBattery(name)) return undefined;
      failBattery(scene, name, 1 + scene.random.below(FAILED_MOST));
      return name;
    },
  },
  {
    name: "a battery flaps",
    weight: 1,
    strike: (scene) => {
      const name = siteWithBattery(scene);
      if (name === undefined || !scene.budget.failBattery(name)) return undefined;
      flapBattery(scene, name, 1 + scene.random.below(FAILED_MOST));
      return name;
    },
  },
  {
    name: "a battery's readings go stale",
    weight: 1,
    strike: (scene) => {
      const name = siteWithBattery(scene);
      if (name === undefined) return undefined;
      const { system, budget, random } = scene;
      const { battery } = system.universe.machine(name);
      const how = random.pick(GAUGE_FAULTS);
      battery.failGauge(how);
      scene.lasting(1 + random.below(STALE_MOST), () => battery.recoverGauge());
      const fails = random.chance(0.4) && budget.failBattery(name);
      if (fails) failBattery(scene, name, 1 + random.below(FAILED_MOST));
      return `${name}, whose gauge ${GAUGE_WORDS[how]}${fails ? ", and the battery fails" : ""}`;
    },
  },
];
