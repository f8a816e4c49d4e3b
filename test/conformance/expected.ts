/**
 * What iscsi-test-cu of Debian 12 (libiscsi 1.19) is expected to fail and to skip against this target, and why.
 * A test that is not named here has to pass; one that is named and passes has to be taken out.
 *
 * What no log shows is what it skips with CUnit's own CU_PASS alone: on LUNs of 2^31 blocks and more, on LUNs of less than 8000
 * blocks, and on targets without READ CAPACITY (16) or VPD page B0h. None of that is so here. What is:
 * `ExtendedCopy.ValidTgtDescr` leaves out the NUL bit, since a target that claims SPC-4 has none.
 */

import type { Expectations } from "./suite-result.ts";

const NO_KEY = "the target does not encrypt, so it has no key to throw away";
const NOT_REMOVABLE =
  "a site's LUNs are not removable; the package's are where it is told so, and that is tested over a file";
const NO_RESTRICTIONS =
  "its parts that are about an alignment and a granularity of atomic writes: there is neither, they may begin and end anywhere";
const ON_ITS_OWN = {
  "ReadOnly.*": "the LUN is not write-protected: LUNs that are have a run of their own",
  "Sanitize.*": "it empties the LUN: one that may be emptied has a run of its own",
};

const NOT_ZEROS =
  "it has a block of FFh written with UNMAP set, what is left in its buffer, and wants zeros: with LBPRZ 1, SBC-3 has blocks " +
  "unmapped only where they then read as the block that was sent. Its twin WriteSame16.UnmapUntilEnd clears the buffer " +
  "first (test_writesame16_unmap_until_end.c:59; test_writesame10_unmap_until_end.c:57 has no such line), and passes";

export const EXPECTED: Expectations = {
  failures: {
    "GetLBAStatus.UnmapSingle":
      "with 8 logical blocks in a physical one the test asks for LBA i + 1 and wants a descriptor that begins at i + 8; SBC-3 " +
      "has the first descriptor begin where the command asks. With blocks of 4096 bytes the two are the same, and it passes",
    "WriteSame10.UnmapUntilEnd": NOT_ZEROS,
  },
  skips: {
    ...ON_ITS_OWN,
    "WriteAtomic16.VPD": NO_RESTRICTIONS,
    "PreventAllow.*": NOT_REMOVABLE,
    "StartStopUnit.*": NOT_REMOVABLE,
    "NoMedia.*": NOT_REMOVABLE,
  },
};

/** Of a file that is a removable medium. */
export const EXPECTED_OF_FILE: Expectations = {
  failures: {
    ...EXPECTED.failures,
    "StartStopUnit.PwrCnd":
      "it wants GOOD of every POWER CONDITION from 1h to Fh (test_startstopunit_pwrcnd.c:43). SBC-3 section 5.25 reserves 4h to " +
      "6h, 8h, 9h and Ch to Fh, and a reserved value is an error (SPC-4 section 3.3); of the others a device server refuses " +
      "those that it does not have. That nothing is ejected by any of them is tested in removable-medium.test.ts",
  },
  skips: {
    ...ON_ITS_OWN,
    "WriteAtomic16.VPD": NO_RESTRICTIONS,
  },
};

const ONE_BLOCK = "a logical block is a physical one, so there is nothing to be out of line with";

/** Of the suites that are run where the LUN's blocks are of 4096 bytes. */
export const EXPECTED_4096: Expectations = {
  failures: { "WriteSame10.UnmapUntilEnd": NOT_ZEROS },
  skips: {
    "CompareAndWrite.InvalidDataOutSize": ONE_BLOCK,
    "WriteSame10.InvalidDataOutSize": ONE_BLOCK,
    "WriteSame10.UnmapUnaligned": ONE_BLOCK,
    "WriteSame16.InvalidDataOutSize": ONE_BLOCK,
    "WriteSame16.UnmapUnaligned": ONE_BLOCK,
    "WriteAtomic16.VPD": NO_RESTRICTIONS,
  },
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
