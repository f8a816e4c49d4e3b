/** All breakages. What each is for stands beside it; docs/simulator.md says how to add one. */

import { BATTERY } from "./battery.ts";
import type { Breakage } from "./breakage.ts";
import { ISCSI } from "./iscsi.ts";
import { JOURNAL } from "./journal.ts";
import { LINK } from "./link.ts";
import { MIRROR } from "./mirror.ts";
import { PIPELINE } from "./pipeline.ts";
import { RAID } from "./raid.ts";

export const BREAKAGES: readonly Breakage[] = [
  ...PIPELINE,
  ...MIRROR,
  ...LINK,
  ...JOURNAL,
  ...RAID,
  ...ISCSI,
  ...BATTERY,
];
