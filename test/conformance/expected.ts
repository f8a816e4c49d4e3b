/**
 * What iscsi-test-cu of Debian 12 (libiscsi 1.19) is expected to fail and to skip against this target, and why.
 * A test that is not named here has to pass; one that is named and passes has to be taken out.
 */

import type { Expectations } from "./suite-result.ts";

const NO_KEY = "the target does not encrypt, so it has no key to throw away";
const NOT_REMOVABLE = "the LUN's medium is not removable";

export const EXPECTED: Expectations = {
  failures: {
    "GetLBAStatus.UnmapSingle":
      "with 8 logical blocks in a physical one the test asks for LBA i + 1 and wants a descriptor that begins at i + 8; SBC-3 " +
      "has the first descriptor begin where the command asks. With blocks of 4096 bytes the two are the same, and it passes",
  },
  skips: {
    "PreventAllow.*": NOT_REMOVABLE,
    "StartStopUnit.Simple": NOT_REMOVABLE,
    "ReadOnly.*": "the LUN is not write-protected; iscsi-swp is tested on its own",
    "Sanitize.*": "it empties the LUN, and is run on its own",
    "WriteSame10.ZeroBlocks": "0 blocks, which means all to the end, is refused: VPD page B0h sets WSNZ",
    "WriteSame16.ZeroBlocks": "0 blocks, which means all to the end, is refused: VPD page B0h sets WSNZ",
  },
};

/** Of a file, whose device promises less. */
export const EXPECTED_OF_FILE: Expectations = {
  failures: EXPECTED.failures,
  skips: { ...EXPECTED.skips, "WriteAtomic16.*": "a file promises no write that is there whole or not at all" },
};

const ONE_BLOCK = "a logical block is a physical one, so there is nothing to be out of line with";

/** What is skipped besides where the LUN's blocks are of 4096 bytes. */
export const EXPECTED_SKIPS_4096: Expectations["skips"] = {
  "CompareAndWrite.InvalidDataOutSize": ONE_BLOCK,
  "WriteSame10.InvalidDataOutSize": ONE_BLOCK,
  "WriteSame10.UnmapUnaligned": ONE_BLOCK,
  "WriteSame16.InvalidDataOutSize": ONE_BLOCK,
  "WriteSame16.UnmapUnaligned": ONE_BLOCK,
};

/** Of the suite Sanitize, where it is allowed. */
export const EXPECTED_OF_SANITIZE: Expectations = {
  failures: {
    "Sanitize.Reset":
      "the test waits 3 seconds and then wants the operation to be still under way; no standard has it last that long, and " +
      "8 MiB are overwritten sooner. The same is tested with a device that is held up, in sanitize.test.ts",
  },
  skips: {
    "Sanitize.CryptoErase": NO_KEY,
    "Sanitize.Reservations": `its part that is about CRYPTOGRAPHIC ERASE: ${NO_KEY}`,
    "Sanitize.Readonly": `its part that is about CRYPTOGRAPHIC ERASE: ${NO_KEY}`,
  },
};
