/** The table of those SBC commands that have files of their own, beside `sbc.ts`. */

import { atomicBlocksMax, writeAtomic } from "./atomic.ts";
import { LBA4, LBA8, type Row } from "./definition.ts";
import { compareAndWrite, orWrite } from "./exclusive.ts";
import { formatUnit } from "./format.ts";
import { getLbaStatus } from "./lba-status.ts";
import { preventAllowMediumRemoval, readDefectData10, readDefectData12, startStopUnit } from "./medium.ts";
import { prefetch } from "./prefetch.ts";
import { isSanitizable, sanitizeBlockErase, sanitizeExitFailureMode, sanitizeOverwrite } from "./sanitize.ts";
import { verify, writeAndVerify } from "./verify.ts";

const COUNT4 = [0xff, 0xff, 0xff, 0xff] as const;

const SANITIZE = [0x48, 0xbf, 0, 0, 0, 0, 0, 0xff, 0xff, 0x04] as const;

export const BLOCK_COMMANDS: readonly Row[] = [
  [0x04, { usage: [0x04, 0x30, 0, 0, 0, 0x04], run: formatUnit }],
  [0x1b, { usage: [0x1b, 0x01, 0, 0, 0xf7, 0x04], run: startStopUnit }],
  [0x1e, { usage: [0x1e, 0, 0, 0, 0x03, 0x04], run: preventAllowMediumRemoval }],
  [0x2e, { usage: [0x2e, 0x12, ...LBA4, 0, 0xff, 0xff, 0x04], run: writeAndVerify }],
  [0x2f, { usage: [0x2f, 0x16, ...LBA4, 0, 0xff, 0xff, 0x04], run: verify }],
  [0x34, { usage: [0x34, 0x02, ...LBA4, 0, 0xff, 0xff, 0x04], run: prefetch }],
  [0x37, { usage: [0x37, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0x04], run: readDefectData10 }],
  [0x48, { serviceAction: 0x01, usage: SANITIZE, supportedBy: isSanitizable, run: sanitizeOverwrite }],
  [0x48, { serviceAction: 0x02, usage: SANITIZE, supportedBy: isSanitizable, run: sanitizeBlockErase }],
  [0x48, { serviceAction: 0x1f, usage: SANITIZE, supportedBy: isSanitizable, run: sanitizeExitFailureMode }],
  [0x89, { usage: [0x89, 0x18, ...LBA8, 0, 0, 0, 0xff, 0, 0x04], run: compareAndWrite }],
  [0x8b, { usage: [0x8b, 0x18, ...LBA8, ...COUNT4, 0, 0x04], run: orWrite }],
  [0x8e, { usage: [0x8e, 0x12, ...LBA8, ...COUNT4, 0, 0x04], run: writeAndVerify }],
  [0x8f, { usage: [0x8f, 0x16, ...LBA8, ...COUNT4, 0, 0x04], run: verify }],
  [0x90, { usage: [0x90, 0x02, ...LBA8, ...COUNT4, 0, 0x04], run: prefetch }],
  [
    0x9c,
    {
      usage: [0x9c, 0x18, ...LBA8, 0xff, 0xff, 0xff, 0xff, 0, 0x04],
      supportedBy: (unit) => atomicBlocksMax(unit) > 0,
      run: writeAtomic,
    },
  ],
  [0x9e, { serviceAction: 0x12, usage: [0x9e, 0x1f, ...LBA8, ...COUNT4, 0, 0x04], run: getLbaStatus }],
  [0xae, { usage: [0xae, 0x12, ...LBA4, ...COUNT4, 0, 0x04], run: writeAndVerify }],
  [0xaf, { usage: [0xaf, 0x16, ...LBA4, ...COUNT4, 0, 0x04], run: verify }],
  [0xb7, { usage: [0xb7, 0x1f, 0, 0, 0, 0, ...COUNT4, 0, 0x04], run: readDefectData12 }],
];
