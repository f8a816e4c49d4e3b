import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LoginStatus } from "./constants.ts";
import { type LoginInput, type LoginTarget, login, loginStart } from "./login.ts";
import { defaultParameters } from "./negotiation.ts";
import { bench, build, INITIATOR, Initiator, TARGET, text } from "./testing/initiator.ts";

const target: LoginTarget = {
  admit: (name, initiator) => {
    if (name !== TARGET) return LoginStatus.TargetNotFound;
    return initiator === "denied" ? LoginStatus.AuthorizationFailure : LoginStatus.Success;
  },
  joined: (tsih) => {
    if (tsih === 8) return { ...defaultParameters(), maxBurstLength: 4096, headerDigest: "CRC32C" };
    return tsih === 7 ? LoginStatus.TooManyConnections : LoginStatus.SessionDoesNotExist;
  },
  chapOf: () => undefined,
  hashes: {},
  newChallenge: () => ({ identifier: 1, bytes: new Uint8Array(16) }),
  portalGroupTag: 3,
  digests: true,
  errorRecoveryLevel: 2,
};
const NAMES = [`InitiatorName=${INITIATOR}`, `TargetName=${TARGET}`];

function request(change: Partial<LoginInput> = {}, ...keys: readonly string[]): LoginInput {
  return {
    transit: true,
    continue: false,
    currentStage: 1,
    nextStage: 3,
    versionMin: 0,
    versionMax: 0,
    isid: 1,
    tsih: 0,
    cid: 0,
    text: text(...keys),
    ...change,
  };
}
const answerText = (bytes: Uint8Array) => new TextDecoder().decode(bytes).split("\0").filter(Boolean);

describe("the login state machine", () => {
  test("one step from the operational stage", () => {
    const { state, reply } = login(loginStart(), request({}, ...NAMES, "MaxBurstLength=8192"), target);
    expect(state.phase).toBe("full-feature");
    expect(state.parameters.maxBurstLength).toBe(8192);
    expect(answerText(reply.text)).toEqual([
      "TargetPortalGroupTag=3",
      "MaxBurstLength=8192",
      "MaxRecvDataSegmentLength=262144",
    ]);
  });

  test("a further connection negotiates what is its own, and has the rest of its session", () => {
    const { state, reply } = login(
      loginStart(),
      request({ tsih: 8, cid: 1 }, ...NAMES, "MaxBurstLength=512", "DataDigest=CRC32C", "ErrorRecoveryLevel=0"),
      target,
    );
    expect(state.phase).toBe("full-feature");
    expect(state.parameters).toMatchObject({ maxBurstLength: 4096, headerDigest: "None", dataDigest: "CRC32C" });
    expect(answerText(reply.text)).toEqual([
      "TargetPortalGroupTag=3",
      "MaxBurstLength=Reject",
      "DataDigest=CRC32C",
      "ErrorRecoveryLevel=Reject",
      "MaxRecvDataSegmentLength=262144",
    ]);
  });

  test("security, then operational, then full feature", () => {
    let step = login(
      loginStart(),
      request({ currentStage: 0, nextStage: 1 }, ...NAMES, "AuthMethod=CHAP,None"),
      target,
    );
    expect([step.state.phase, step.state.stage]).toEqual(["negotiating", 1]);
    expect(answerText(step.reply.text)).toContain("AuthMethod=None");
    step = login(step.state, request({ transit: false }, "HeaderDigest=CRC32C"), target);
    expect([step.state.phase, step.reply.transit]).toEqual(["negotiating", false]);
    step = login(step.state, request(), target);
    expect(step.state.phase).toBe("full-feature");
    expect(step.state.parameters.headerDigest).toBe("CRC32C");
    expect(answerText(step.reply.text)).toEqual([]);
  });

  test("keys that are split over PDUs", () => {
    const whole = text(...NAMES, "MaxBurstLength=8192");
    let step = login(loginStart(), request({ transit: false, continue: true, text: whole.subarray(0, 50) }), target);
    expect(step.reply.text.length).toBe(0);
    step = login(step.state, request({ text: whole.subarray(50) }), target);
    expect(step.state.phase).toBe("full-feature");
    expect(step.state.identity?.targetName).toBe(TARGET);
  });

  test.each([
    ["no initiator name", request({}, `TargetName=${TARGET}`), LoginStatus.MissingParameter],
    ["a name of two lines", request({}, `InitiatorName=${INITIATOR}\nx`, NAMES[1]), LoginStatus.InitiatorError],
    ["no target name", request({}, `InitiatorName=${INITIATOR}`), LoginStatus.MissingParameter],
    ["an unknown target", request({}, `InitiatorName=${INITIATOR}`, "TargetName=iqn.x"), LoginStatus.TargetNotFound],
    ["a denied initiator", request({}, "InitiatorName=denied", NAMES[1]), LoginStatus.AuthorizationFailure],
    ["only CHAP", request({ currentStage: 0 }, ...NAMES, "AuthMethod=CHAP"), LoginStatus.AuthenticationFailure],
    ["another version", request({ versionMin: 1, versionMax: 1 }, ...NAMES), LoginStatus.UnsupportedVersion],
    ["a strange session type", request({}, ...NAMES, "SessionType=Odd"), LoginStatus.SessionTypeNotSupported],
    ["a session that is gone", request({ tsih: 9 }, ...NAMES), LoginStatus.SessionDoesNotExist],
    ["one connection too many", request({ tsih: 7 }, ...NAMES), LoginStatus.TooManyConnections],
    ["a key twice", request({}, ...NAMES, "MaxBurstLength=512", "MaxBurstLength=512"), LoginStatus.InitiatorError],
    ["garbage for text", request({ text: new Uint8Array([1, 2, 3]) }), LoginStatus.InitiatorError],
    ["stage 2", request({ currentStage: 2 }, ...NAMES), LoginStatus.InitiatorError],
    ["a transit backwards", request({ currentStage: 1, nextStage: 0 }, ...NAMES), LoginStatus.InitiatorError],
    ["a transit to be continued", request({ continue: true }, ...NAMES), LoginStatus.InitiatorError],
  ])("refuses %s", (_, input, status) => {
    const { state, reply } = login(loginStart(), input, target);
    expect(reply.status).toBe(status);
    expect(state.phase).toBe("failed");
  });

  test("a TSIH that changes on the way is refused", () => {
    const first = login(loginStart(), request({ transit: false }, ...NAMES), target);
    expect(login(first.state, request({ tsih: 8 }), target).reply.status).toBe(LoginStatus.InitiatorError);
    const joining = login(loginStart(), request({ transit: false, tsih: 8 }, ...NAMES), target);
    expect(login(joining.state, request(), target).reply.status).toBe(LoginStatus.InitiatorError);
    expect(login(joining.state, request({ tsih: 8 }), target).state.phase).toBe("full-feature");
  });

  test("a key repeated in a later step is refused, and so is an endless exchange", () => {
    const first = login(loginStart(), request({ transit: false }, ...NAMES, "MaxBurstLength=512"), target);
    expect(login(first.state, request({}, "MaxBurstLength=512"), target).reply.status).toBe(LoginStatus.InitiatorError);
    let { state } = first;
    let status: number = LoginStatus.Success;
    for (let count = 0; count < 100 && status === LoginStatus.Success; count++) {
      const step = login(state, request({ transit: false }), target);
      state = step.state;
      status = step.reply.status;
    }
    expect(status).toBe(LoginStatus.InitiatorError);
  });

  test("never throws, and fails for good", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            transit: fc.boolean(),
            continue: fc.boolean(),
            currentStage: fc.nat(3),
            nextStage: fc.nat(3),
            versionMin: fc.nat(1),
            versionMax: fc.nat(1),
            isid: fc.nat(),
            tsih: fc.nat(8),
            cid: fc.nat(3),
            text: fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.constant(text(...NAMES))),
          }),
          { maxLength: 6 },
        ),
        (inputs) => {
          let state = loginStart();
          let failed = false;
          for (const input of inputs) {
            const step = login(state, input, target);
            if (failed) expect(step.reply.status).not.toBe(LoginStatus.Success);
            failed ||= step.reply.status !== LoginStatus.Success;
            state = step.state;
          }
        },
      ),
    );
  });
});

describe("a login over a connection", () => {
  test.each([
    [{ address: "198.51.100.9:3260" }, 0x0101],
    [{ address: "[2001:db8::9]", permanent: true }, 0x0102],
  ])("to %j is sent there, also while the target is away", async (redirection, status) => {
    const world = bench({
      target: { redirect: () => redirection, grant: (name) => (name === "eve" ? undefined : {}) },
    });
    world.target.available = false;
    const initiator = new Initiator(world);
    const reply = await initiator.login();
    expect(reply.header.getUint16(36)).toBe(status);
    expect(answerText(reply.data)).toEqual([`TargetAddress=${redirection.address}`]);
    expect(initiator.transport.closed).toBe("closed");
    expect(world.events).toEqual(["login-redirected"]);
    expect(world.server.counters()).toMatchObject({ loginsRedirected: 1, loginsFailed: 0 });
    const eve = new Initiator(world, { name: "eve", isid: 1 });
    const refusal = await eve.login();
    expect([refusal.header.getUint16(36), refusal.data.length]).toEqual([LoginStatus.AuthorizationFailure, 0]);
  });

  test("may be sent elsewhere from one portal and not from another; who is logged in stays until it is logged out", async () => {
    const world = bench();
    const [one, other] = [1, 2].map((groupTag) => ({ groupTag }));
    const initiator = await new Initiator(world, undefined, one).ready();
    await world.target.changeAccess({
      redirect: (_, portal) => (portal === one ? { address: "198.51.100.9" } : undefined),
    });
    await world.timers.turn();
    expect(initiator.transport.closed).toBe("no");
    const out = world.target.logOutAll("moved");
    await world.timers.turn();
    await out;
    expect(initiator.transport.closed).toBe("closed");
    expect((await new Initiator(world, undefined, one).login()).header.getUint16(36)).toBe(0x0101);
    expect((await new Initiator(world, undefined, other).login()).header.getUint16(36)).toBe(0);
  });

  test("a refusal is sent before the connection closes", async () => {
    const world = bench({ target: { grant: () => undefined } });
    const initiator = new Initiator(world);
    const reply = await initiator.login();
    expect(reply.header.getUint16(36)).toBe(LoginStatus.AuthorizationFailure);
    expect(initiator.transport.closed).toBe("closed");
    expect(world.events).toContain("login-failed");
  });

  test("a target that is not available now says so, and drops who is there", async () => {
    const world = bench();
    const first = await new Initiator(world).ready();
    const served = world.server.addTarget({ name: "iqn.other", luns: [] });
    served.available = false;
    expect(first.transport.closed).toBe("no");
    const other = new Initiator(world);
    await other.send(build(0x03, { immediate: true, flags: 0x87, data: text(NAMES[0], "TargetName=iqn.other") }));
    expect(other.receive()[0].header.getUint16(36)).toBe(LoginStatus.ServiceUnavailable);
  });

  test("anything before a login closes the connection, and so does silence", async () => {
    const world = bench();
    const initiator = new Initiator(world);
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    expect(initiator.transport.closed).toBe("aborted");
    const silent = new Initiator(world);
    world.timers.advance(15_000);
    expect(silent.transport.closed).toBe("aborted");
  });

  test("a discovery session lists targets and takes no commands", async () => {
    const world = bench();
    const initiator = new Initiator(world);
    await initiator.send(
      build(0x03, {
        immediate: true,
        flags: 0x87,
        words: { 24: 1 },
        data: text(NAMES[0], "SessionType=Discovery", "MaxBurstLength=512"),
      }),
    );
    expect(answerText(initiator.receive()[0].data)).toContain("MaxBurstLength=Irrelevant");
    await initiator.send(
      build(0x04, { words: { 20: 0xffffffff, 24: initiator.cmdSN++ }, data: text("SendTargets=All") }),
    );
    expect(answerText(initiator.receive()[0].data)).toEqual([`TargetName=${TARGET}`, "TargetAddress=192.0.2.2:3260,1"]);
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    expect(initiator.receive()[0].opcode).toBe(0x3f);
  });

  test("a long answer comes in parts, each one fetched", async () => {
    const world = bench();
    for (let count = 0; count < 30; count++) world.server.addTarget({ name: `iqn.2026-11.dev:t${count}`, luns: [] });
    const initiator = new Initiator(world);
    await initiator.send(
      build(0x03, {
        immediate: true,
        flags: 0x87,
        words: { 24: 1 },
        data: text(NAMES[0], "SessionType=Discovery", "MaxRecvDataSegmentLength=512"),
      }),
    );
    initiator.receive();
    let all = "";
    let tag = 0xffffffff;
    let data = text("SendTargets=All");
    do {
      await initiator.send(build(0x04, { words: { 20: tag, 24: initiator.cmdSN++ }, data }));
      const [part] = initiator.receive();
      expect(part.data.length).toBeLessThanOrEqual(512);
      expect((part.flags & 0x80) !== 0).toBe(part.header.getUint32(20) === 0xffffffff);
      all += new TextDecoder().decode(part.data);
      tag = part.header.getUint32(20);
      data = new Uint8Array(0);
    } while (tag !== 0xffffffff);
    expect(all.match(/TargetName=/g)?.length).toBe(31);
  });
});
