import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defaultParameters, negotiate } from "./negotiation.ts";
import { formatText, parseNumber, parseText } from "./text.ts";

const ask = (key: string, value: string, change = {}) => {
  const agreed = defaultParameters();
  const capabilities = { digests: true, discovery: false, joins: false, errorRecoveryLevel: 2, ...change };
  const [answer] = negotiate([[key, value]], agreed, capabilities);
  return { answer: answer?.[1], agreed };
};

describe("keys of RFC 7143 section 13", () => {
  test.each([
    ["HeaderDigest", "CRC32C,None", "CRC32C"],
    ["HeaderDigest", "None,CRC32C", "None"],
    ["DataDigest", "SHA1", "Reject"],
    ["MaxConnections", "4", "4"],
    ["MaxConnections", "100", "8"],
    ["InitialR2T", "No", "No"],
    ["InitialR2T", "Yes", "Yes"],
    ["InitialR2T", "Maybe", "Reject"],
    ["ImmediateData", "Yes", "Yes"],
    ["ImmediateData", "No", "No"],
    ["MaxRecvDataSegmentLength", "65536", undefined],
    ["MaxRecvDataSegmentLength", "511", "Reject"],
    ["MaxBurstLength", "16776192", "1048576"],
    ["MaxBurstLength", "0x400", "1024"],
    ["MaxBurstLength", "511", "Reject"],
    ["MaxBurstLength", "-1", "Reject"],
    ["FirstBurstLength", "262144", "65536"],
    ["DefaultTime2Wait", "5", "5"],
    ["DefaultTime2Retain", "20", "20"],
    ["DefaultTime2Retain", "3600", "60"],
    ["MaxOutstandingR2T", "16", "8"],
    ["MaxOutstandingR2T", "0", "Reject"],
    ["DataPDUInOrder", "No", "Yes"],
    ["DataSequenceInOrder", "No", "Yes"],
    ["ErrorRecoveryLevel", "0", "0"],
    ["ErrorRecoveryLevel", "1", "1"],
    ["ErrorRecoveryLevel", "2", "2"],
    ["ErrorRecoveryLevel", "3", "Reject"],
    ["IFMarker", "Yes", "No"],
    ["TaskReporting", "RFC3720,ResponseFence", "RFC3720"],
    ["TaskReporting", "ResponseFence,RFC3720", "ResponseFence"],
    ["TaskReporting", "X-new,FastAbort,ResponseFence,RFC3720", "FastAbort"],
    ["TaskReporting", "X-new", "Reject"],
    ["iSCSIProtocolLevel", "2", "2"],
    ["iSCSIProtocolLevel", "1", "1"],
    ["iSCSIProtocolLevel", "31", "2"],
    ["X-com.example", "1", "NotUnderstood"],
  ])("%s=%s is answered %s", (key, value, expected) => {
    expect(ask(key, value).answer).toBe(expected);
  });

  test("digests need a checksum function", () => {
    expect(ask("DataDigest", "CRC32C,None", { digests: false }).answer).toBe("None");
    expect(ask("DataDigest", "CRC32C", { digests: false }).answer).toBe("Reject");
  });

  test("the error recovery level is as high as the target allows", () => {
    expect(ask("ErrorRecoveryLevel", "2", { errorRecoveryLevel: 1 }).answer).toBe("1");
    expect(ask("ErrorRecoveryLevel", "2", { errorRecoveryLevel: 0 }).agreed.errorRecoveryLevel).toBe(0);
  });

  test("data transfer keys are irrelevant in discovery", () => {
    expect(ask("MaxBurstLength", "4096", { discovery: true }).answer).toBe("Irrelevant");
    expect(ask("ErrorRecoveryLevel", "1", { discovery: true }).answer).toBe("0");
  });

  test("the first burst never exceeds the burst", () => {
    expect(ask("MaxBurstLength", "4096").agreed.firstBurstLength).toBe(4096);
  });

  test("a rejected value changes nothing", () => {
    expect(ask("MaxBurstLength", "511").agreed).toEqual(defaultParameters());
  });
});

describe("text", () => {
  test("goes there and back", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.stringMatching(/^[A-Z][A-Za-z0-9.-]{0,20}$/), fc.stringMatching(/^[ -~]{0,40}$/)), {
          maxLength: 20,
        }),
        (pairs) => {
          expect(parseText(formatText(pairs))).toEqual(pairs);
        },
      ),
    );
  });

  test.each([
    "NoEquals\0",
    "=1\0",
    "lower=1\0",
    `${"A".repeat(64)}=1\0`,
    `A=${"x".repeat(9000)}\0`,
    "A=1\0".repeat(300),
  ])("refuses %#", (bad) => {
    expect(typeof parseText(new TextEncoder().encode(bad))).toBe("string");
  });

  test("numbers are decimal or hexadecimal and nothing else", () => {
    expect(["10", "0x1F", "0"].map(parseNumber)).toEqual([10, 31, 0]);
    for (const bad of ["", "1a", "010", "-1", "1.5", " 1", "0x", "99999999999999999999"])
      expect(parseNumber(bad)).toBeNaN();
  });
});
