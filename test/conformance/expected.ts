/**
 * What iscsi-test-cu of Debian 12 (libiscsi 1.19) is expected to fail and to skip against this target, and why.
 * A test that is not named here has to pass; one that is named and passes has to be taken out.
 */

import type { Expectations } from "./suite-result.ts";

const NO_RESERVATIONS = "the target has no persistent reservations";
const NO_RESERVE_6 = "the target has no RESERVE (6), which SPC-3 made obsolete";
const NO_COPY = "the target has no EXTENDED COPY";
const NO_WRITE_AND_VERIFY = "the target has no WRITE AND VERIFY; every write is durable once it is acknowledged";
const NOT_REMOVABLE = "the LUN's medium is not removable";

export const EXPECTED: Expectations = {
  failures: {
    "GetLBAStatus.UnmapSingle":
      "the target reports every block as mapped: it does not know at the LUN what the drives have given back",
  },
  skips: {
    "ExtendedCopy.*": NO_COPY,
    "ReceiveCopyResults.*": NO_COPY,
    "OrWrite.*": "the target has no ORWRITE",
    "Prefetch10.*": "the target has no PRE-FETCH",
    "Prefetch16.*": "the target has no PRE-FETCH",
    "PreventAllow.*": NOT_REMOVABLE,
    "StartStopUnit.Simple": NOT_REMOVABLE,
    "PrinReadKeys.*": NO_RESERVATIONS,
    "PrinServiceactionRange.*": NO_RESERVATIONS,
    "PrinReportCapabilities.*": NO_RESERVATIONS,
    "ProutRegister.*": NO_RESERVATIONS,
    "ProutReserve.*": NO_RESERVATIONS,
    "ProutClear.*": NO_RESERVATIONS,
    "ProutPreempt.*": NO_RESERVATIONS,
    "Reserve6.*": NO_RESERVE_6,
    "ReadDefectData10.*": "the LUN has no medium of its own, so no list of defects",
    "ReadDefectData12.*": "the LUN has no medium of its own, so no list of defects",
    "ReadOnly.*": "the LUN is not write-protected; iscsi-swp is tested on its own",
    "Sanitize.*": "the target has no SANITIZE",
    "WriteAtomic16.*": "the target has no WRITE ATOMIC",
    "WriteSame10.ZeroBlocks": "0 blocks, which means all to the end, is refused: VPD page B0h sets WSNZ",
    "WriteSame16.ZeroBlocks": "0 blocks, which means all to the end, is refused: VPD page B0h sets WSNZ",
    "WriteVerify10.*": NO_WRITE_AND_VERIFY,
    "WriteVerify12.*": NO_WRITE_AND_VERIFY,
    "WriteVerify16.*": NO_WRITE_AND_VERIFY,
    "iSCSIResiduals.WriteVerify10Residuals": NO_WRITE_AND_VERIFY,
    "iSCSIResiduals.WriteVerify12Residuals": NO_WRITE_AND_VERIFY,
    "iSCSIResiduals.WriteVerify16Residuals": NO_WRITE_AND_VERIFY,
  },
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
