import { OperatingError } from "../../base/operating-error.ts";
import { type BatterySource, formatSource } from "../battery.ts";

/** @param why ends the sentence that begins with the battery's name */
export function batteryUnreadable(source: BatterySource, why: string, cause?: unknown): OperatingError {
  const remedy =
    source.kind === "sysfs"
      ? "Look at the battery, and at what /sys/class/power_supply has of it."
      : "Look at the UPS, at its driver and at upsd on the NUT server; upsc shows what that one knows.";
  return new OperatingError("battery.unreadable", `Battery ${formatSource(source)} gives no reading: ${why}.`, remedy, {
    cause,
  });
}

export const NOT_IN_TIME = "nobody answered in time";
