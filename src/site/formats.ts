/** What this release of the firmware reads and writes. Its update file says so, and another one's is held against it. */

import { CONFIGURATION_FORMAT } from "../config/format.ts";
import type { FormatsInUse } from "../firmware/formats.ts";
import type { Formats } from "../firmware/update-file.ts";
import { FORMAT_VERSION as JOURNAL_FORMAT } from "../journal/superblock.ts";
import { FORMAT_VERSION as ARRAY_FORMAT } from "../raid/superblock.ts";

export const FORMATS: Formats = {
  configuration: { reads: CONFIGURATION_FORMAT, writes: CONFIGURATION_FORMAT },
  journal: { lowest: JOURNAL_FORMAT, highest: JOURNAL_FORMAT },
  array: { lowest: ARRAY_FORMAT, highest: ARRAY_FORMAT },
};

/**
 * What an appliance that runs this release has. Of its drives: it may have older formats as well, but must be taken to have
 * these.
 * @param configuration of its newest revision, where it has one
 */
export function formatsInUse(configuration: number | undefined): FormatsInUse {
  return { configuration, journals: [JOURNAL_FORMAT], arrays: [ARRAY_FORMAT] };
}
