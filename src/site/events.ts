/** What happens at a site, typed, for those who log, count or show it. */

import type { OperatingError } from "../base/operating-error.ts";
import type { Epoch, Sequence } from "../base/units.ts";
import type { LinkState } from "../link/link-state.ts";
import type { ControllerState } from "../mirror/mirror-controller.ts";
import type { ArrayEvent } from "../raid/disk-array.ts";
import type { GuardView } from "../watchdog/watchdog-guard.ts";
import type { BatteryView } from "./battery-watch.ts";

export type SiteEvent =
  | { readonly kind: "controller"; readonly state: ControllerState }
  | { readonly kind: "serving"; readonly epoch: Epoch; readonly portals: readonly string[] }
  | { readonly kind: "link"; readonly site: string; readonly state: LinkState }
  | { readonly kind: "array"; readonly array: string; readonly event: ArrayEvent }
  /** In-doubt requests that the primary's log goes on without were dropped from the journal. */
  | { readonly kind: "cut"; readonly first: Sequence; readonly last: Sequence }
  /** The watchdog was armed, or let go of. */
  | { readonly kind: "watchdog"; readonly guard: GuardView }
  /** The journal's battery is known good now, or no longer. */
  | { readonly kind: "battery"; readonly battery: BatteryView; readonly alarm: OperatingError | undefined }
  | { readonly kind: "alarm"; readonly error: OperatingError }
  | { readonly kind: "session"; readonly text: string };
