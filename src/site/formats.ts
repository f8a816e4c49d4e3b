/** What this release of the firmware reads and writes. Its update file says so, and another one's is held against it. */

import type { FormatsInUse } from "../firmware/formats.ts";
import type { Formats } from "../firmware/update-file.ts";
import { FORMAT_VERSION as JOURNAL_FORMAT } from "../journal/superblock.ts";
import { FORMAT_VERSION as ARRAY_FORMAT } from "../raid/superblock.ts";

/** Grows when a configuration that is written today could not be read by an older release. */
const CONFIGURATION_FORMAT = 1;

export const FORMATS: Formats = {
  configuration: { reads: CONFIGURATION_FORMAT, writes: CONFIGURATION_FORMAT },
  journal: { lowest: JOURNAL_FORMAT, highest: JOURNAL_FORMAT },
  array: { lowest: ARRAY_FORMAT, highest: ARRAY_FORMAT },
};

/** What an appliance that runs this release has: it may have older ones as well, but must be taken to have these. */
export const FORMATS_IN_USE: FormatsInUse = {
  configuration: CONFIGURATION_FORMAT,
  journals: [JOURNAL_FORMAT],
  arrays: [ARRAY_FORMAT],
};
