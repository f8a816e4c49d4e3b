import type { Batteries } from "../battery.ts";
import type { Clock } from "../clock.ts";
import type { Network } from "../network.ts";
import { readNut } from "./nut-battery.ts";
import { SysfsBatteries } from "./sysfs-battery.ts";

/** @param root where the kernel lists its power supplies; another in tests */
export function linuxBatteries(
  clock: Pick<Clock, "now">,
  network: Pick<Network, "connect">,
  root = "/sys/class/power_supply",
): Batteries {
  const sysfs = new SysfsBatteries(clock, root);
  return {
    read: (source, signal) =>
      source.kind === "sysfs" ? sysfs.read(source, signal) : readNut(clock, network, source, signal),
  };
}
