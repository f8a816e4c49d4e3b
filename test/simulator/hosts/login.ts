/**
 * The login phase as an initiator sees it (RFC 7143 sections 6.2, 6.3 and 13): what it offers, drawn at random, and
 * whether the target's answers may follow from that.
 */

import { FINAL, LoginStatus, Stage } from "../../../src/iscsi/constants.ts";
import { LoginResponse } from "../../../src/iscsi/pdu.ts";
import { formatText, type Pair, parseNumber, parseText } from "../../../src/iscsi/text.ts";
import type { SeededRandom } from "../../../src/platform/memory/memory-world.ts";

/** What a session works with. */
export interface Agreed {
  headerDigest: boolean;
  dataDigest: boolean;
  initialR2T: boolean;
  immediateData: boolean;
  maxBurstLength: number;
  firstBurstLength: number;
  maxOutstandingR2T: number;
  /** The largest data segments: that the target takes, and that this initiator takes. */
  targetSegmentBytes: number;
  ownSegmentBytes: number;
}

export interface LoginRequest {
  readonly stage: number;
  /** The stage to go on to; undefined to stay in this one. */
  readonly next: number | undefined;
  /** The C bit: the text goes on in the next request. */
  readonly isPart: boolean;
  readonly text: Uint8Array;
}

export interface LoginNames {
  readonly initiator: string;
  readonly target: string;
  /** 48 bits. */
  readonly isid: number;
}

/** What a login response comes to. */
export type LoginStep =
  | { readonly kind: "more" }
  | { readonly kind: "open"; readonly agreed: Agreed }
  /** The target can't now. */
  | { readonly kind: "unavailable"; readonly status: number }
  | { readonly kind: "wrong"; readonly text: string };

const KiB = 1024;
/** Small ones make many PDUs, so they come up less often. */
const SEGMENTS = [512, 4 * KiB, 8 * KiB, 9001, 64 * KiB, 64 * KiB, 256 * KiB, 256 * KiB];
const BURSTS = [512, 4 * KiB, 20_000, 64 * KiB, 256 * KiB, 256 * KiB, 1024 * KiB, 2 ** 24 - 1];
const FIRST_BURSTS = [512, 1001, 4 * KiB, 8 * KiB, 64 * KiB, 256 * KiB];

/** Whether an answer may follow from an offer. */
type Rule = (offered: string, answer: string) => boolean;

const atMost: Rule = (offered, answer) => parseNumber(answer) <= parseNumber(offered);
const atLeast: Rule = (offered, answer) => parseNumber(answer) >= parseNumber(offered);
const oneOf: Rule = (offered, answer) => offered.split(",").includes(answer);
/** The result of OR: Yes where one side says so. */
const or: Rule = (offered, answer) => answer === "Yes" || (answer === "No" && offered === "No");
const and: Rule = (offered, answer) => answer === "No" || (answer === "Yes" && offered === "Yes");

const RULES: ReadonlyMap<string, Rule> = new Map([
  ["AuthMethod", oneOf],
  ["HeaderDigest", oneOf],
  ["DataDigest", oneOf],
  ["MaxConnections", atMost],
  ["InitialR2T", or],
  ["ImmediateData", and],
  ["MaxBurstLength", atMost],
  ["FirstBurstLength", atMost],
  ["MaxOutstandingR2T", atMost],
  ["DefaultTime2Wait", atLeast],
  ["DefaultTime2Retain", atMost],
  ["DataPDUInOrder", or],
  ["DataSequenceInOrder", or],
  ["ErrorRecoveryLevel", atMost],
]);

export class Login {
  readonly #requests: LoginRequest[] = [];
  readonly #offers: Pair[] = [];
  readonly #answers = new Map<string, string>();
  readonly #ownSegmentBytes: number;
  readonly #names: LoginNames;
  #last: LoginRequest | undefined;

  constructor(random: SeededRandom, names: LoginNames, digests: boolean) {
    this.#names = names;
    this.#ownSegmentBytes = random.pick(SEGMENTS);
    const identity: Pair[] = [
      ["InitiatorName", names.initiator],
      ["TargetName", names.target],
      ["SessionType", "Normal"],
    ];
    const operational = this.#draw(random, digests);
    if (random.chance(0.5)) {
      this.#offers.push(["AuthMethod", "None"]);
      this.#ask(Stage.Security, Stage.Operational, [...identity, ["AuthMethod", "None"]]);
    } else operational.unshift(...identity);
    const way = random.below(10);
    if (way < 2) {
      // In two parts, cut anywhere.
      const text = formatText(operational);
      const cut = 1 + random.below(text.length - 1);
      const stage = Stage.Operational;
      this.#requests.push({ stage, next: undefined, isPart: true, text: text.subarray(0, cut) });
      this.#requests.push({ stage, next: Stage.FullFeature, isPart: false, text: text.subarray(cut) });
    } else if (way < 4) {
      const half = random.chance(0.5) ? operational.length : identity.length;
      this.#ask(Stage.Operational, undefined, operational.slice(0, half));
      this.#ask(Stage.Operational, Stage.FullFeature, operational.slice(half));
    } else this.#ask(Stage.Operational, Stage.FullFeature, operational);
  }

  #ask(stage: number, next: number | undefined, pairs: readonly Pair[]): void {
    this.#requests.push({ stage, next, isPart: false, text: formatText(pairs) });
  }

  #draw(random: SeededRandom, digests: boolean): Pair[] {
    const maxBurst = random.pick(BURSTS);
    const digest = () => random.pick(digests ? ["CRC32C", "CRC32C,None"] : ["None", "None,CRC32C"]);
    const offers: Pair[] = [
      ["HeaderDigest", digest()],
      ["DataDigest", digest()],
      ["InitialR2T", random.pick(["Yes", "No"])],
      ["ImmediateData", random.pick(["Yes", "No"])],
      ["MaxBurstLength", String(maxBurst)],
      ["FirstBurstLength", String(random.pick(FIRST_BURSTS.filter((bytes) => bytes <= maxBurst)))],
      ["MaxOutstandingR2T", random.pick(["1", "2", "4", "16"])],
    ];
    if (random.chance(0.5)) {
      offers.push(
        ["MaxConnections", "1"],
        ["DefaultTime2Wait", "2"],
        ["DefaultTime2Retain", "0"],
        ["DataPDUInOrder", "Yes"],
        ["DataSequenceInOrder", "Yes"],
        ["ErrorRecoveryLevel", random.pick(["0", "2"])],
      );
    }
    this.#offers.push(...offers);
    offers.splice(random.below(offers.length), 0, ["MaxRecvDataSegmentLength", String(this.#ownSegmentBytes)]);
    return offers;
  }

  /** What to send next; undefined when everything was sent. */
  next(): LoginRequest | undefined {
    this.#last = this.#requests.shift();
    return this.#last;
  }

  /** Takes the answer to what `next` gave last. */
  response(view: DataView, at: number, data: Uint8Array): LoginStep {
    const status = view.getUint16(at + LoginResponse.status);
    // Of the class of errors of the target, which pass.
    if (status >>> 8 === LoginStatus.ServiceUnavailable >>> 8) return { kind: "unavailable", status };
    const flags = view.getUint8(at + LoginResponse.flags);
    const text =
      (status === 0 ? undefined : `login refused with status ${status.toString(16)}`) ??
      this.#checkHeader(view, at, flags) ??
      this.#answer(data);
    if (text !== undefined) return { kind: "wrong", text };
    if ((flags & FINAL) === 0 || (flags & 3) !== Stage.FullFeature) return { kind: "more" };
    if (view.getUint16(at + LoginResponse.tsih) === 0) return { kind: "wrong", text: "login without a TSIH" };
    const agreed = this.#result();
    return typeof agreed === "string" ? { kind: "wrong", text: agreed } : { kind: "open", agreed };
  }

  #checkHeader(view: DataView, at: number, flags: number): string | undefined {
    const isid = view.getUint16(at + LoginResponse.isid) * 2 ** 32 + view.getUint32(at + LoginResponse.isid + 2);
    if (isid !== this.#names.isid) return "login with another ISID";
    if (view.getUint8(at + LoginResponse.versionActive) !== 0) return "login of another version";
    if (((flags >> 2) & 3) !== this.#last?.stage) return "login answered for another stage";
    const next = (flags & FINAL) === 0 ? undefined : flags & 3;
    if (next !== this.#last.next) return `login goes on to stage ${next}, ${this.#last.next} was asked for`;
    return undefined;
  }

  #answer(text: Uint8Array): string | undefined {
    const pairs = parseText(text);
    if (typeof pairs === "string") return `login text with ${pairs}`;
    for (const [key, value] of pairs) {
      if (this.#answers.has(key)) return `login key ${key} twice`;
      this.#answers.set(key, value);
    }
    return undefined;
  }

  /** @returns what the answers come to, or what is wrong with them */
  #result(): Agreed | string {
    for (const [key, offered] of this.#offers) {
      const answer = this.#answers.get(key);
      if (answer === undefined) return `login key ${key}=${offered} without an answer`;
      if (RULES.get(key)?.(offered, answer) !== true) return `login key ${key}=${offered} with the answer ${answer}`;
    }
    if (this.#answers.get("TargetPortalGroupTag") === undefined) return "login without a TargetPortalGroupTag";
    const number = (key: string, otherwise: number) => {
      const value = this.#answers.get(key);
      return value === undefined ? otherwise : parseNumber(value);
    };
    const agreed: Agreed = {
      headerDigest: this.#answers.get("HeaderDigest") === "CRC32C",
      dataDigest: this.#answers.get("DataDigest") === "CRC32C",
      initialR2T: this.#answers.get("InitialR2T") === "Yes",
      immediateData: this.#answers.get("ImmediateData") === "Yes",
      maxBurstLength: number("MaxBurstLength", Number.NaN),
      firstBurstLength: number("FirstBurstLength", Number.NaN),
      maxOutstandingR2T: number("MaxOutstandingR2T", Number.NaN),
      targetSegmentBytes: number("MaxRecvDataSegmentLength", 8 * KiB),
      ownSegmentBytes: this.#ownSegmentBytes,
    };
    if (agreed.firstBurstLength < 512 || agreed.maxBurstLength < 512 || agreed.targetSegmentBytes < 512) {
      return "login answers with lengths below 512";
    }
    return agreed;
  }
}
