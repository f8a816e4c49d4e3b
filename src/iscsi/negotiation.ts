/**
 * The operational keys of RFC 7143 section 13: for each, how the two sides' values become one.
 * Pure: `negotiate` takes what was offered and what is agreed so far, and returns what to answer.
 */

import { PROTOCOL_LEVEL_SAM5 } from "./constants.ts";
import {
  BURST_BYTES_MAX,
  FIRST_BURST_BYTES_MAX,
  OUTSTANDING_R2T_MAX,
  RECV_SEGMENT_BYTES_MAX,
  RETAIN_SECONDS_MAX,
  SESSION_CONNECTIONS_MAX,
} from "./limits.ts";
import { type Pair, parseNumber } from "./text.ts";

export type Digest = "None" | "CRC32C";

/** What TaskReporting may be, section 13.23: how it is told that several tasks have ended. Each implies those before it. */
const TASK_REPORTING = ["RFC3720", "ResponseFence", "FastAbort"] as const;
export type TaskReporting = (typeof TASK_REPORTING)[number];

/** What a session works with. Starts as the defaults of section 13. */
export interface Parameters {
  headerDigest: Digest;
  dataDigest: Digest;
  maxConnections: number;
  taskReporting: TaskReporting;
  protocolLevel: number;
  errorRecoveryLevel: number;
  initialR2T: boolean;
  immediateData: boolean;
  /** The largest data segment that the initiator takes. */
  initiatorMaxRecvDataSegmentLength: number;
  maxBurstLength: number;
  firstBurstLength: number;
  maxOutstandingR2T: number;
  defaultTime2Wait: number;
  defaultTime2Retain: number;
}

export function defaultParameters(): Parameters {
  return {
    headerDigest: "None",
    dataDigest: "None",
    maxConnections: 1,
    taskReporting: "RFC3720",
    protocolLevel: 1,
    errorRecoveryLevel: 0,
    initialR2T: true,
    immediateData: true,
    initiatorMaxRecvDataSegmentLength: 8192,
    maxBurstLength: 262144,
    firstBurstLength: 65536,
    maxOutstandingR2T: 1,
    defaultTime2Wait: 2,
    defaultTime2Retain: 20,
  };
}

export interface Capabilities {
  /** Whether there is a checksum function to make digests with. */
  readonly digests: boolean;
  readonly discovery: boolean;
  /** The highest that is agreed to. */
  readonly errorRecoveryLevel: number;
  /** Whether the session is there already, and this is one more connection. */
  readonly joins: boolean;
}

/** What one key does: takes the offered value, changes `agreed`, returns the answer; `undefined` means none is due. */
type Rule = (value: string, agreed: Parameters, capabilities: Capabilities) => string | undefined;

type NumericKey = {
  [K in keyof Parameters]: Parameters[K] extends number ? K : never;
}[keyof Parameters];

function number(
  min: number,
  max: number,
  decide: (offered: number, agreed: Parameters, capabilities: Capabilities) => number,
): Rule {
  return (value, agreed, capabilities) => {
    const offered = parseNumber(value);
    return offered >= min && offered <= max ? String(decide(offered, agreed, capabilities)) : "Reject";
  };
}

/** The smaller of the offer and our own limit. */
function minimum(key: NumericKey, min: number, max: number, ours: number): Rule {
  return number(min, max, (offered, agreed) => {
    agreed[key] = Math.min(offered, ours);
    return agreed[key];
  });
}

function boolean(decide: (offered: boolean, agreed: Parameters) => boolean): Rule {
  return (value, agreed) => {
    if (value !== "Yes" && value !== "No") return "Reject";
    return decide(value === "Yes", agreed) ? "Yes" : "No";
  };
}

function taskReporting(value: string, agreed: Parameters): string {
  for (const offered of value.split(",")) {
    const known = TASK_REPORTING.find((one) => one === offered);
    if (known === undefined) continue;
    agreed.taskReporting = known;
    return known;
  }
  return "Reject";
}

function digest(key: "headerDigest" | "dataDigest"): Rule {
  return (value, agreed, { digests }) => {
    const choice = value.split(",").find((one) => one === "None" || (one === "CRC32C" && digests));
    if (choice === undefined) return "Reject";
    agreed[key] = choice as Digest;
    return choice;
  };
}

const LENGTH_MAX = 2 ** 24 - 1;

/** Section 13 marks these irrelevant where the session type is Discovery. */
const irrelevantInDiscovery = (rule: Rule): Rule => {
  return (value, agreed, capabilities) => (capabilities.discovery ? "Irrelevant" : rule(value, agreed, capabilities));
};

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["HeaderDigest", digest("headerDigest")],
  ["DataDigest", digest("dataDigest")],
  ["MaxConnections", irrelevantInDiscovery(minimum("maxConnections", 1, 65535, SESSION_CONNECTIONS_MAX))],
  [
    "InitialR2T",
    // OR of both: unsolicited data only if both want it, and we do.
    irrelevantInDiscovery(
      boolean((offered, agreed) => {
        agreed.initialR2T = offered;
        return offered;
      }),
    ),
  ],
  [
    "ImmediateData",
    irrelevantInDiscovery(
      boolean((offered, agreed) => {
        agreed.immediateData = offered;
        return offered;
      }),
    ),
  ],
  [
    "MaxRecvDataSegmentLength",
    (value, agreed) => {
      const declared = parseNumber(value);
      if (!(declared >= 512 && declared <= LENGTH_MAX)) return "Reject";
      agreed.initiatorMaxRecvDataSegmentLength = declared;
      return undefined;
    },
  ],
  ["MaxBurstLength", irrelevantInDiscovery(minimum("maxBurstLength", 512, LENGTH_MAX, BURST_BYTES_MAX))],
  ["FirstBurstLength", irrelevantInDiscovery(minimum("firstBurstLength", 512, LENGTH_MAX, FIRST_BURST_BYTES_MAX))],
  [
    "DefaultTime2Wait",
    number(0, 3600, (offered, agreed) => {
      agreed.defaultTime2Wait = Math.max(offered, 0);
      return agreed.defaultTime2Wait;
    }),
  ],
  ["DefaultTime2Retain", minimum("defaultTime2Retain", 0, 3600, RETAIN_SECONDS_MAX)],
  ["MaxOutstandingR2T", irrelevantInDiscovery(minimum("maxOutstandingR2T", 1, 65535, OUTSTANDING_R2T_MAX))],
  ["DataPDUInOrder", irrelevantInDiscovery(boolean(() => true))],
  ["DataSequenceInOrder", irrelevantInDiscovery(boolean(() => true))],
  // A discovery session has nothing to recover: section 4.3 fixes it at 0.
  [
    "ErrorRecoveryLevel",
    number(0, 2, (offered, agreed, { discovery, errorRecoveryLevel }) => {
      agreed.errorRecoveryLevel = discovery ? 0 : Math.min(offered, errorRecoveryLevel);
      return agreed.errorRecoveryLevel;
    }),
  ],
  ["IFMarker", boolean(() => false)],
  ["OFMarker", boolean(() => false)],
  ["IFMarkInt", () => "Reject"],
  ["OFMarkInt", () => "Reject"],
  ["TaskReporting", irrelevantInDiscovery(taskReporting)],
  ["iSCSIProtocolLevel", irrelevantInDiscovery(minimum("protocolLevel", 0, 31, PROTOCOL_LEVEL_SAM5))],
]);

/** Of one connection. All other keys are of the session: only its first connection negotiates them. */
const CONNECTION_KEYS: ReadonlySet<string> = new Set(["HeaderDigest", "DataDigest", "MaxRecvDataSegmentLength"]);

/** What a further connection of a session starts with. */
export function joiningParameters(session: Readonly<Parameters>): Parameters {
  const { headerDigest, dataDigest, initiatorMaxRecvDataSegmentLength } = defaultParameters();
  return { ...session, headerDigest, dataDigest, initiatorMaxRecvDataSegmentLength };
}

/**
 * Keys that may be offered in login only once, whatever their stage.
 *
 * @returns the answers due, in the order of the offers; `agreed` holds what they settle
 */
export function negotiate(offers: readonly Pair[], agreed: Parameters, capabilities: Capabilities): Pair[] {
  const answers: Pair[] = [];
  for (const [key, value] of offers) {
    const answer = answerTo(key, value, agreed, capabilities);
    if (answer !== undefined) answers.push([key, answer]);
  }
  // Section 13.14: the first burst is part of a burst.
  if (agreed.firstBurstLength > agreed.maxBurstLength) agreed.firstBurstLength = agreed.maxBurstLength;
  return answers;
}

function answerTo(key: string, value: string, agreed: Parameters, capabilities: Capabilities): string | undefined {
  const rule = RULES.get(key);
  if (rule === undefined) return "NotUnderstood";
  return capabilities.joins && !CONNECTION_KEYS.has(key) ? "Reject" : rule(value, agreed, capabilities);
}

/** What the target declares once in the operational stage. */
export const DECLARATION: Pair = ["MaxRecvDataSegmentLength", String(RECV_SEGMENT_BYTES_MAX)];
