/**
 * The target's side of CHAP (RFC 7143 section 12.1, RFC 1994), as a pure state machine: the initiator lists algorithms, the
 * target challenges it, the initiator answers, and where it wants that, challenges the target.
 *
 * Invariants: a challenge is answered once, rightly or wrongly, and the exchange is over; the target answers a challenge only
 * to an initiator that has answered the target's; keys come in the order of the standard or not at all; nothing that is
 * said of a failure has a secret in it, nor the name of a user that is not known, which may be a secret in the wrong field.
 */

import { formatHex, parseBinary } from "./binary-value.ts";
import { concat } from "./concat.ts";
import type { ChapAlgorithm, ChapHashes } from "./interfaces.ts";
import { type Pair, parseNumber } from "./text.ts";

/** Who one side says that it is, and what proves it. */
export interface ChapAccount {
  readonly user: string;
  readonly secret: Uint8Array;
}

/** What initiators have to prove, and what is proven to those that ask. */
export interface Chap {
  /** @returns the secret that `user` proves on behalf of the initiator; `undefined` where there is no such user for it */
  secretOf(user: string, initiatorName: string): Uint8Array | undefined;
  /** The target's own, other than every initiator's. Without it, initiators that ask the target for a proof are refused. */
  readonly mutual?: ChapAccount;
  /** What an initiator may choose from; all that there are hashes for unless given. */
  readonly algorithms?: readonly ChapAlgorithm[];
}

/** A challenge of the target's, which it makes once and never again. */
export interface ChapChallenge {
  readonly identifier: number;
  readonly bytes: Uint8Array;
}

export interface ChapTarget {
  readonly hashes: ChapHashes;
  newChallenge(): ChapChallenge;
}

export type ChapState =
  | { readonly phase: "method" }
  | { readonly phase: "algorithm" }
  | { readonly phase: "response"; readonly algorithm: ChapAlgorithm; readonly challenge: ChapChallenge }
  | { readonly phase: "done"; readonly user: string };

export type ChapStep =
  | { readonly state: ChapState; readonly answers: readonly Pair[] }
  /** The initiator is not who it has to be. */
  | { readonly refused: string };

export const CHAP_START: ChapState = { phase: "method" };

/** The keys of the exchange, all of which are this file's. */
export const CHAP_KEYS: ReadonlySet<string> = new Set(["AuthMethod", "CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R"]);

/** Section 12.1.4 has MD5 as 5; the others are IANA's. */
const ALGORITHMS: ReadonlyMap<string, ChapAlgorithm> = new Map([
  ["5", "md5"],
  ["6", "sha1"],
  ["7", "sha256"],
  ["8", "sha3-256"],
]);

/** Section 12.1.3: binary items of CHAP. */
const CHALLENGE_BYTES_MAX = 1024;
const NAME_CHARACTERS_MAX = 255;

/** What a response is compared with where there is no such user, so that this takes as long as any other wrong one. */
const NOBODY = new Uint8Array(16);

/** @param pairs the keys of one request that are in CHAP_KEYS, each at most once */
export function chap(
  state: ChapState,
  pairs: readonly Pair[],
  initiatorName: string,
  policy: Chap,
  target: ChapTarget,
): ChapStep {
  // A request without keys is an initiator that waits for its turn, or that has had it.
  if (pairs.length === 0) return { state, answers: [] };
  const keys = new Map(pairs);
  switch (state.phase) {
    case "method":
      return chooseMethod(keys);
    case "algorithm":
      return chooseAlgorithm(keys, policy, target);
    case "response":
      return verify(keys, initiatorName, policy, target.hashes, state);
    case "done":
      return refuse(keys, []) ?? { state, answers: [] };
  }
}

type Keys = ReadonlyMap<string, string>;

function chooseMethod(keys: Keys): ChapStep {
  const misplaced = refuse(keys, ["AuthMethod"]);
  if (misplaced !== undefined) return misplaced;
  const offered = keys.get("AuthMethod")?.split(",") ?? [];
  if (!offered.includes("CHAP")) return { refused: "it offers no CHAP, which is required" };
  return { state: { phase: "algorithm" }, answers: [["AuthMethod", "CHAP"]] };
}

function chooseAlgorithm(keys: Keys, policy: Chap, target: ChapTarget): ChapStep {
  const misplaced = refuse(keys, ["CHAP_A"]);
  if (misplaced !== undefined) return misplaced;
  const may = (one: ChapAlgorithm) => target.hashes[one] !== undefined && (policy.algorithms?.includes(one) ?? true);
  for (const number of (keys.get("CHAP_A") ?? "").split(",")) {
    const algorithm = ALGORITHMS.get(number);
    if (algorithm === undefined || !may(algorithm)) continue;
    const challenge = target.newChallenge();
    return {
      state: { phase: "response", algorithm, challenge },
      answers: [
        ["CHAP_A", number],
        ["CHAP_I", String(challenge.identifier)],
        ["CHAP_C", formatHex(challenge.bytes)],
      ],
    };
  }
  return { refused: "it offers no algorithm of CHAP that is allowed" };
}

function verify(
  keys: Keys,
  initiatorName: string,
  policy: Chap,
  hashes: ChapHashes,
  { algorithm, challenge }: Extract<ChapState, { phase: "response" }>,
): ChapStep {
  const misplaced = refuse(keys, ["CHAP_N", "CHAP_R"], ["CHAP_I", "CHAP_C"]);
  if (misplaced !== undefined) return misplaced;
  const prove = (identifier: number, secret: Uint8Array, bytes: Uint8Array) =>
    hashes[algorithm]?.(concat(Uint8Array.of(identifier), secret, bytes));

  const user = keys.get("CHAP_N") ?? "";
  if (user.length > NAME_CHARACTERS_MAX) return { refused: "its user's name is too long" };
  const secret = policy.secretOf(user, initiatorName);
  const expected = prove(challenge.identifier, secret ?? NOBODY, challenge.bytes);
  if (expected === undefined) return { refused: `there is no hash function ${algorithm} any more` };
  const response = parseBinary(keys.get("CHAP_R") ?? "", expected.length);
  if (response === undefined) return { refused: "its response is no binary value of the algorithm's length" };
  const right = same(response, expected);
  if (secret === undefined) return { refused: "it names a user that is not known here, or not for this initiator" };
  if (!right) return { refused: `its response as the user ${JSON.stringify(user)} is wrong` };

  if (!keys.has("CHAP_I")) return { state: { phase: "done", user }, answers: [] };
  if (policy.mutual === undefined) return { refused: "it asks the target for a proof, which has no secret for that" };
  const identifier = parseNumber(keys.get("CHAP_I") ?? "");
  if (!(identifier <= 255)) return { refused: "its CHAP_I is no number up to 255" };
  const theirs = parseBinary(keys.get("CHAP_C") ?? "", 1, CHALLENGE_BYTES_MAX);
  if (theirs === undefined) return { refused: `its challenge is no binary value of 1 to ${CHALLENGE_BYTES_MAX} bytes` };
  // Section 12.1.3: one that sends the challenge back has somebody else answer it.
  if (same(theirs, challenge.bytes)) return { refused: "it sends the target's own challenge back" };
  const proof = prove(identifier, policy.mutual.secret, theirs);
  if (proof === undefined || same(proof, response) || same(policy.mutual.secret, secret)) {
    return { refused: "its secret is the target's own" };
  }
  return {
    state: { phase: "done", user },
    answers: [
      ["CHAP_N", policy.mutual.user],
      ["CHAP_R", formatHex(proof)],
    ],
  };
}

/** What is wrong with the keys of a step: those that are due must be there, all of `together` or none may, and no other. */
function refuse(keys: Keys, due: readonly string[], together: readonly string[] = []): ChapStep | undefined {
  const missing = due.find((key) => !keys.has(key));
  if (missing !== undefined) return { refused: `it does not send ${missing} when that is due` };
  const half = together.some((key) => keys.has(key)) ? together.find((key) => !keys.has(key)) : undefined;
  if (half !== undefined) return { refused: `it does not send ${half} when that is due` };
  const other = [...keys.keys()].find((key) => !due.includes(key) && !together.includes(key));
  return other === undefined ? undefined : { refused: `it sends ${other} out of order` };
}

/** Takes as long wherever two of one length differ, so that trying tells nothing. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a[at] ^ b[at];
  return difference === 0;
}
