/**
 * The login phase of RFC 7143 sections 6.2 to 6.3 as a pure state machine: `login(state, request, target)` returns
 * the next state and the reply. It knows nothing of connections, sessions or time; what it must ask of its
 * target (is there one of this name, may this initiator use it) it asks through `LoginTarget`.
 *
 * Invariant: once a reply carries a status other than success, a redirection included, the state is `failed` and the
 * connection closes.
 */

import type { Redirection } from "./access.ts";
import { CHAP_KEYS, CHAP_START, type Chap, type ChapState, type ChapTarget, chap } from "./chap.ts";
import { LoginStatus, Stage } from "./constants.ts";
import { LOGIN_EXCHANGES_MAX, TEXT_BYTES_MAX } from "./limits.ts";
import { DECLARATION, defaultParameters, joiningParameters, negotiate, type Parameters } from "./negotiation.ts";
import { formatText, type Pair, parseText } from "./text.ts";

export interface LoginInput {
  readonly transit: boolean;
  readonly continue: boolean;
  readonly currentStage: number;
  readonly nextStage: number;
  readonly versionMin: number;
  readonly versionMax: number;
  /** 6 bytes, as a number. */
  readonly isid: number;
  readonly tsih: number;
  readonly cid: number;
  readonly text: Uint8Array;
}

export interface LoginReply {
  readonly transit: boolean;
  readonly stage: number;
  readonly nextStage: number;
  readonly status: number;
  readonly text: Uint8Array;
}

export interface LoginTarget extends ChapTarget {
  /** `LoginStatus.Success` if this initiator may open a session to this target here and now. */
  admit(targetName: string, initiatorName: string): number | Redirection;
  /** What an initiator has to prove; `undefined` where nothing. @param targetName empty for a discovery session */
  chapOf(targetName: string): Chap | undefined;
  /** What a session works with that a login may become one more connection of, or the status to refuse it with. */
  joined(tsih: number, identity: LoginIdentity): Readonly<Parameters> | number;
  readonly portalGroupTag: number;
  readonly digests: boolean;
  /** The highest error recovery level that is agreed to. */
  readonly errorRecoveryLevel: number;
}

export interface LoginState {
  readonly phase: "negotiating" | "full-feature" | "failed";
  readonly stage: number;
  readonly exchanges: number;
  readonly identity: LoginIdentity | undefined;
  /** Of the session that it is to join, 0 for a new one: the same in all of its requests. */
  readonly tsih: number;
  /** How far the initiator is with proving who it is; `undefined` where nothing is asked of it. */
  readonly proof: { readonly policy: Chap; readonly chap: ChapState } | undefined;
  readonly parameters: Parameters;
  /** Keys that were negotiated already; none may come twice (section 6.3). */
  readonly seen: ReadonlySet<string>;
  /** Text of requests with the C bit that the next request goes on with. */
  readonly pending: Uint8Array;
  readonly declared: boolean;
  /** How an authentication failed, or where the initiator was sent, for people. */
  readonly why?: string;
}

export interface LoginIdentity {
  readonly initiatorName: string;
  readonly initiatorAlias: string;
  /** Empty in a discovery session. */
  readonly targetName: string;
  readonly discovery: boolean;
  readonly isid: number;
  readonly cid: number;
}

const NOTHING = new Uint8Array(0);
/** Keys that say who logs in to what; they are not negotiated. */
const IDENTITY_KEYS = new Set(["InitiatorName", "InitiatorAlias", "TargetName", "SessionType"]);

/** No iSCSI name has them (RFC 7143 section 4.2.7.2), and who reads names reads them as lines. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}]/u;

export function loginStart(): LoginState {
  return {
    phase: "negotiating",
    stage: -1,
    exchanges: 0,
    identity: undefined,
    tsih: 0,
    proof: undefined,
    parameters: defaultParameters(),
    seen: new Set(),
    pending: NOTHING,
    declared: false,
  };
}

export interface LoginStep {
  readonly state: LoginState;
  readonly reply: LoginReply;
}

export function login(state: LoginState, request: LoginInput, target: LoginTarget): LoginStep {
  // Who it is stands in the state also of the first request's failure, for the event.
  let identity = state.identity;
  const fail = (status: number, why?: string, text: Uint8Array = NOTHING): LoginStep => ({
    state: { ...state, phase: "failed", identity, why },
    reply: {
      transit: false,
      stage: request.currentStage & 3,
      nextStage: 0,
      status,
      text,
    },
  });

  if (state.phase !== "negotiating") return fail(LoginStatus.InvalidDuringLogin);
  if (request.versionMin > 0) return fail(LoginStatus.UnsupportedVersion);
  if (state.exchanges === LOGIN_EXCHANGES_MAX) return fail(LoginStatus.InitiatorError);
  if (!stagesAreValid(state, request)) return fail(LoginStatus.InitiatorError);
  if (state.exchanges > 0 && request.tsih !== state.tsih) return fail(LoginStatus.InitiatorError);
  if (state.pending.length + request.text.length > TEXT_BYTES_MAX) return fail(LoginStatus.InitiatorError);

  const text = state.pending.length === 0 ? request.text : join(state.pending, request.text);
  const next = {
    ...state,
    stage: request.currentStage,
    exchanges: state.exchanges + 1,
    tsih: request.tsih,
    pending: NOTHING,
  };
  if (request.continue) {
    // The bytes belong to the connection's receive buffer: keep a copy.
    return {
      state: { ...next, pending: text.slice() },
      reply: { transit: false, stage: request.currentStage, nextStage: 0, status: LoginStatus.Success, text: NOTHING },
    };
  }

  const pairs = parseText(text);
  if (typeof pairs === "string") return fail(LoginStatus.InitiatorError);
  const seen = new Set(state.seen);
  for (const [key] of pairs) {
    if (seen.has(key)) return fail(LoginStatus.InitiatorError);
    seen.add(key);
  }

  const answers: Pair[] = [];
  let { proof } = state;
  let agreed = state.parameters;
  if (identity === undefined) {
    const found = identify(pairs, request);
    if (typeof found === "number") return fail(found);
    identity = found;
    if (request.tsih !== 0) {
      const session = target.joined(request.tsih, identity);
      if (typeof session === "number") return fail(session);
      agreed = joiningParameters(session);
    }
    if (!identity.discovery) {
      const admitted = target.admit(identity.targetName, identity.initiatorName);
      if (typeof admitted !== "number") {
        const status = admitted.permanent ? LoginStatus.MovedPermanently : LoginStatus.MovedTemporarily;
        // Section 13.8: without the tag of a portal group, which the other target has of its own.
        return fail(status, admitted.address, formatText([["TargetAddress", admitted.address]]));
      }
      if (admitted !== LoginStatus.Success) return fail(admitted);
      answers.push(["TargetPortalGroupTag", String(target.portalGroupTag)]);
    }
    const policy = target.chapOf(identity.targetName);
    proof = policy && { policy, chap: CHAP_START };
  } else if (pairs.some(([key]) => key === "TargetName" || key === "SessionType" || key === "InitiatorName")) {
    return fail(LoginStatus.InitiatorError);
  }

  const parameters = { ...agreed };
  const { digests, errorRecoveryLevel } = target;
  const { discovery } = identity;
  const capabilities = { digests, errorRecoveryLevel, discovery, joins: request.tsih !== 0 };
  const offers = pairs.filter(([key]) => !IDENTITY_KEYS.has(key));
  let declared = state.declared;
  if (proof !== undefined && proof.chap.phase !== "done" && request.currentStage !== Stage.Security) {
    return fail(LoginStatus.AuthenticationFailure, "it skips CHAP, which is required");
  }
  if (request.currentStage === Stage.Security && proof !== undefined) {
    const keys = offers.filter(([key]) => CHAP_KEYS.has(key));
    const step = chap(proof.chap, keys, identity.initiatorName, proof.policy, target);
    if ("refused" in step) return fail(LoginStatus.AuthenticationFailure, step.refused);
    if (step.state.phase === "method" && request.transit) {
      return fail(LoginStatus.AuthenticationFailure, "it wants to go on without CHAP, which is required");
    }
    proof = { ...proof, chap: step.state };
    answers.push(...step.answers);
    const others = offers.filter(([key]) => !CHAP_KEYS.has(key));
    answers.push(...negotiate(others, parameters, capabilities));
  } else if (request.currentStage === Stage.Security) {
    const method = offers.find(([key]) => key === "AuthMethod");
    if (method !== undefined) {
      if (!method[1].split(",").includes("None")) {
        return fail(LoginStatus.AuthenticationFailure, "it asks for an authentication that is not set up here");
      }
      answers.push(["AuthMethod", "None"]);
    }
    // Initiators exist that declare operational keys in this stage too; section 6.3.2 lets us answer them.
    answers.push(
      ...negotiate(
        offers.filter((offer) => offer !== method),
        parameters,
        capabilities,
      ),
    );
  } else {
    answers.push(...negotiate(offers, parameters, capabilities));
    if (!declared) answers.push(DECLARATION);
    declared = true;
  }

  // A stage that has more to do is not left when the initiator would: section 6.3.3.
  const transit = request.transit && (proof === undefined || proof.chap.phase === "done");
  return {
    state: {
      ...next,
      phase: transit && request.nextStage === Stage.FullFeature ? "full-feature" : "negotiating",
      stage: transit ? request.nextStage : request.currentStage,
      identity,
      proof,
      parameters,
      seen,
      declared,
    },
    reply: {
      transit,
      stage: request.currentStage,
      nextStage: transit ? request.nextStage : 0,
      status: LoginStatus.Success,
      text: formatText(answers),
    },
  };
}

function stagesAreValid(state: LoginState, request: LoginInput): boolean {
  const { currentStage, nextStage, transit } = request;
  if (currentStage !== Stage.Security && currentStage !== Stage.Operational) return false;
  if (state.stage >= 0 && currentStage !== state.stage) return false;
  // Section 11.12.2: a request that is to be continued cannot ask for the next stage.
  if (transit && request.continue) return false;
  return !transit || (nextStage > currentStage && (nextStage === Stage.Operational || nextStage === Stage.FullFeature));
}

/** Who logs in to what, or the status to refuse it with. */
function identify(pairs: readonly Pair[], request: LoginInput): LoginIdentity | number {
  const value = (key: string) => pairs.find(([name]) => name === key)?.[1];
  const type = value("SessionType") ?? "Normal";
  const initiatorName = value("InitiatorName");
  const targetName = value("TargetName");
  if (initiatorName === undefined || initiatorName === "") return LoginStatus.MissingParameter;
  if (initiatorName.length > 223 || CONTROLS.test(initiatorName)) return LoginStatus.InitiatorError;
  if (type !== "Normal" && type !== "Discovery") return LoginStatus.SessionTypeNotSupported;
  if (type === "Normal" && !targetName) return LoginStatus.MissingParameter;
  return {
    initiatorName,
    initiatorAlias: value("InitiatorAlias") ?? "",
    targetName: type === "Normal" ? (targetName ?? "") : "",
    discovery: type === "Discovery",
    isid: request.isid,
    cid: request.cid,
  };
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
