import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Chap } from "./chap.ts";
import { LoginStatus } from "./constants.ts";
import type { ChapAlgorithm, ChapHashes } from "./interfaces.ts";
import { type Bench, bench, build, concat, INITIATOR, Initiator, type Pdu, TARGET, text } from "./testing/initiator.ts";

const bytes = (of: string) => new TextEncoder().encode(of);
const SECRET = "correct-horse-battery";
const OWN_SECRET = "staple-of-the-target";
const NUMBERS: readonly (readonly [number: string, algorithm: ChapAlgorithm, length: number])[] = [
  ["5", "md5", 16],
  ["6", "sha1", 20],
  ["7", "sha256", 32],
  ["8", "sha3-256", 32],
];
const hashes = Object.fromEntries(
  NUMBERS.map(([, name]) => [name, (of: Uint8Array) => new Uint8Array(createHash(name).update(of).digest())]),
) as Required<ChapHashes>;

const policy: Chap = {
  secretOf: (user, initiator) => {
    if (user === "ada") return bytes(SECRET);
    return user === "only-db1" && initiator === "iqn.2026-11.dev.antipode:db1" ? bytes(SECRET) : undefined;
  },
  mutual: { user: "denver", secret: bytes(OWN_SECRET) },
};

function world(chap: Chap = policy, discoveryChap?: Chap): Bench {
  return bench({ hashes, discoveryChap, target: { chap } });
}

const keysOf = (pdu: Pdu) =>
  new Map(
    new TextDecoder()
      .decode(pdu.data)
      .split("\0")
      .filter(Boolean)
      .map((pair) => pair.split(/=(.*)/s, 2) as [string, string]),
  );
const statusOf = (pdu: Pdu) => pdu.header.getUint16(36);
const hex = (of: Uint8Array) => `0x${Buffer.from(of).toString("hex")}`;
const base64 = (of: Uint8Array) => `0b${Buffer.from(of).toString("base64")}`;
const unhex = (value = "") => new Uint8Array(Buffer.from(value.slice(2), "hex"));
const prove = (algorithm: ChapAlgorithm, identifier: number, secret: string, challenge: Uint8Array) =>
  hashes[algorithm](concat(Uint8Array.of(identifier), bytes(secret), challenge));

/** CSG 0, and the T bit with full feature phase for NSG. */
const STAY = 0x00;
const GO = 0x83;

/** An initiator that logs in by hand. */
class Stranger {
  readonly #initiator: Initiator;
  /** Of the session that it joins, and of the connection that it makes there. */
  tsih = 0;
  cid = 0;
  challenge = new Uint8Array(0);
  identifier = 0;

  constructor(to: Bench, name = INITIATOR) {
    this.#initiator = new Initiator(to, { name, isid: 0x80123456 });
  }

  get closed() {
    return this.#initiator.transport.closed;
  }

  async say(flags: number, ...keys: readonly string[]): Promise<Pdu> {
    const words = { 12: this.tsih, 20: this.cid << 16 };
    await this.#initiator.send(build(0x03, { immediate: true, flags, words, data: text(...keys) }));
    return this.#initiator.receive()[0];
  }

  /** The first request: who it is, and that it takes CHAP. */
  greet(flags = STAY, methods = "CHAP,None", ...more: readonly string[]): Promise<Pdu> {
    const { name } = this.#initiator.port;
    return this.say(flags, `InitiatorName=${name}`, `TargetName=${TARGET}`, `AuthMethod=${methods}`, ...more);
  }

  /** As far as the target's challenge. */
  async challenged(algorithms = "7"): Promise<this> {
    await this.greet();
    const keys = keysOf(await this.say(STAY, `CHAP_A=${algorithms}`));
    this.challenge = unhex(keys.get("CHAP_C"));
    this.identifier = Number(keys.get("CHAP_I"));
    return this;
  }

  response(secret = SECRET, algorithm: ChapAlgorithm = "sha256"): Uint8Array {
    return prove(algorithm, this.identifier, secret, this.challenge);
  }
}

function expectRefused(of: Bench, reply: Pdu, stranger: Stranger, why: string | RegExp): void {
  expect(statusOf(reply)).toBe(LoginStatus.AuthenticationFailure);
  expect(reply.data).toHaveLength(0);
  expect(stranger.closed).toBe("closed");
  expect(of.events.at(-1)).toMatch(why);
  expect(of.events.join()).not.toContain(SECRET);
  expect(of.events.join()).not.toContain(OWN_SECRET);
  expect(of.server.sessions()).toEqual([]);
}

describe("CHAP", () => {
  test.each(NUMBERS)("algorithm %s, %s, in both encodings", async (number, algorithm, length) => {
    for (const encode of [hex, base64]) {
      const of = world();
      const stranger = new Stranger(of);
      const greeting = await stranger.greet(GO);
      expect([...keysOf(greeting)]).toEqual([
        ["TargetPortalGroupTag", "1"],
        ["AuthMethod", "CHAP"],
      ]);
      expect(greeting.flags).toBe(0);
      const offer = await stranger.say(GO, `CHAP_A=${number}`);
      expect(offer.flags).toBe(0);
      const keys = keysOf(offer);
      expect(keys.get("CHAP_A")).toBe(number);
      stranger.challenge = unhex(keys.get("CHAP_C"));
      stranger.identifier = Number(keys.get("CHAP_I"));
      expect(stranger.challenge.length).toBeGreaterThanOrEqual(16);
      const response = stranger.response(SECRET, algorithm);
      expect(response).toHaveLength(length);
      const last = await stranger.say(GO, "CHAP_N=ada", `CHAP_R=${encode(response)}`);
      expect([statusOf(last), last.flags, last.data.length]).toEqual([LoginStatus.Success, GO, 0]);
      expect(of.server.sessions().map(({ user }) => user)).toEqual(["ada"]);
    }
  });

  test("a further connection of a session proves the same user", async () => {
    const of = world({ ...policy, secretOf: () => bytes(SECRET) });
    const first = await new Stranger(of).challenged();
    const opened = await first.say(GO, "CHAP_N=ada", `CHAP_R=${hex(first.response())}`, "MaxConnections=3");
    const join = async (cid: number) => {
      const stranger = new Stranger(of);
      stranger.tsih = opened.header.getUint16(14);
      stranger.cid = cid;
      return stranger.challenged();
    };
    const same = await join(1);
    expect(statusOf(await same.say(GO, "CHAP_N=ada", `CHAP_R=${hex(same.response())}`))).toBe(LoginStatus.Success);
    const other = await join(2);
    expect(statusOf(await other.say(GO, "CHAP_N=eve", `CHAP_R=${hex(other.response())}`))).toBe(
      LoginStatus.AuthorizationFailure,
    );
    const unproven = await join(0);
    expect(statusOf(await unproven.say(GO, "CHAP_N=ada", "CHAP_R=0x00"))).toBe(LoginStatus.AuthenticationFailure);
    expect(of.server.sessions()).toMatchObject([{ connections: 2, user: "ada" }]);
  });

  test("the initiator's first algorithm that the target allows", async () => {
    const of = world({ ...policy, algorithms: ["sha1", "sha256"] });
    for (const [offered, chosen] of [
      ["8,7,6,5", "7"],
      ["5,6,7", "6"],
      ["99,md5,6", "6"],
    ]) {
      const stranger = new Stranger(of);
      await stranger.greet();
      expect(keysOf(await stranger.say(STAY, `CHAP_A=${offered}`)).get("CHAP_A")).toBe(chosen);
    }
    const stranger = new Stranger(of);
    await stranger.greet();
    expectRefused(of, await stranger.say(STAY, "CHAP_A=5,8"), stranger, "no algorithm of CHAP that is allowed");
  });

  test("only algorithms that there are hashes for", async () => {
    const of = bench({ hashes: { md5: hashes.md5 }, target: { chap: policy } });
    const stranger = new Stranger(of);
    await stranger.greet();
    expect(keysOf(await stranger.say(STAY, "CHAP_A=8,7,6,5")).get("CHAP_A")).toBe("5");
    expect(() => bench({ target: { chap: policy } })).toThrow("hash functions");
    expect(() => bench({ discoveryChap: policy })).toThrow("hash functions");
  });

  test("an operational stage may follow, in which nothing is to be proven again", async () => {
    const of = world();
    const stranger = await new Stranger(of).challenged();
    const proven = await stranger.say(0x81, "CHAP_N=ada", `CHAP_R=${hex(stranger.response())}`);
    expect([statusOf(proven), proven.flags]).toEqual([LoginStatus.Success, 0x81]);
    const last = await stranger.say(0x87, "MaxBurstLength=8192");
    expect([statusOf(last), last.flags]).toEqual([LoginStatus.Success, 0x87]);
    expect(keysOf(last).get("MaxBurstLength")).toBe("8192");
    expect(of.server.sessions()).toHaveLength(1);
  });

  test("the proof counts when the initiator stays in the stage for a while", async () => {
    const of = world();
    const stranger = await new Stranger(of).challenged();
    const proven = await stranger.say(STAY, "CHAP_N=ada", `CHAP_R=${hex(stranger.response())}`);
    expect([statusOf(proven), proven.flags]).toEqual([LoginStatus.Success, 0]);
    expect(of.server.sessions()).toEqual([]);
    expect((await stranger.say(GO)).flags).toBe(GO);
    expect(of.server.sessions()).toHaveLength(1);
  });

  test("no challenge comes twice, not even from randomness that is none", async () => {
    const of = world();
    const seen = new Set<string>();
    let before = -1;
    for (let count = 0; count < 300; count++) {
      const { challenge, identifier } = await new Stranger(of).challenged();
      seen.add(hex(challenge));
      expect(identifier).not.toBe(before);
      before = identifier;
    }
    expect(seen.size).toBe(300);
  });
});

describe("CHAP refuses", () => {
  test.each([
    ["a wrong secret", "ada", "correct-horse-batterz", /as the user \\?"ada\\?" is wrong/],
    ["a user that there is not", "bob", SECRET, "a user that is not known here"],
    ["a secret for a user", SECRET, SECRET, "a user that is not known here"],
    ["another initiator's user", "only-db1", SECRET, "not for this initiator"],
    ["no user", "", SECRET, "a user that is not known here"],
    ["a user of 256 characters", "a".repeat(256), SECRET, "too long"],
  ])("%s", async (_, user, secret, why) => {
    const of = world();
    const stranger = await new Stranger(of).challenged();
    const reply = await stranger.say(GO, `CHAP_N=${user}`, `CHAP_R=${hex(stranger.response(secret))}`);
    expectRefused(of, reply, stranger, why);
  });

  test("nobody's login with a user that its initiator may use", async () => {
    const of = world();
    const stranger = await new Stranger(of, "iqn.2026-11.dev.antipode:db1").challenged();
    const reply = await stranger.say(GO, "CHAP_N=only-db1", `CHAP_R=${hex(stranger.response())}`);
    expect(statusOf(reply)).toBe(LoginStatus.Success);
  });

  test("a login that skips the security stage", async () => {
    const of = world();
    const stranger = new Stranger(of);
    const reply = await stranger.say(0x87, `InitiatorName=${INITIATOR}`, `TargetName=${TARGET}`);
    expectRefused(of, reply, stranger, "skips CHAP");
  });

  test.each(["None", "SRP,None", "chap", ""])("a login that offers AuthMethod=%s", async (methods) => {
    const of = world();
    const stranger = new Stranger(of);
    expectRefused(of, await stranger.greet(GO, methods), stranger, "it offers no CHAP");
  });

  test("a login that goes on without AuthMethod", async () => {
    const of = world();
    const stranger = new Stranger(of);
    const reply = await stranger.say(GO, `InitiatorName=${INITIATOR}`, `TargetName=${TARGET}`);
    expectRefused(of, reply, stranger, "go on without CHAP");
  });

  test("to go on before there is a proof, and the stage can't be left for another", async () => {
    const of = world();
    for (const flags of [0x81, GO]) {
      const stranger = await new Stranger(of).challenged();
      const reply = await stranger.say(flags);
      expect([statusOf(reply), reply.flags]).toEqual([LoginStatus.Success, 0]);
      expect(statusOf(await stranger.say(0x87))).toBe(LoginStatus.InitiatorError);
    }
    expect(of.server.sessions()).toEqual([]);
  });

  test.each([
    ["algorithms with the method", (one: Stranger) => one.greet(STAY, "CHAP", "CHAP_A=5"), "CHAP_A out of order"],
    ["a response in the place of algorithms", respondedEarly, "does not send CHAP_A"],
    ["a name alone", responded("CHAP_N=ada"), "does not send CHAP_R"],
    ["a response alone", responded("CHAP_R"), "does not send CHAP_N"],
    ["half a challenge", responded("CHAP_N=ada", "CHAP_R", "CHAP_I=1"), "does not send CHAP_C"],
    ["the other half", responded("CHAP_N=ada", "CHAP_R", "CHAP_C=0x0102"), "does not send CHAP_I"],
  ])("%s", async (_, run, why) => {
    const of = world();
    const stranger = new Stranger(of);
    expectRefused(of, await run(stranger), stranger, why);
  });

  test.each(["AuthMethod=CHAP", "CHAP_A=7", "CHAP_N=ada", "CHAP_C=0x01"])("%s again", async (key) => {
    const of = world();
    const stranger = await new Stranger(of).challenged();
    const all = ["CHAP_N=ada", `CHAP_R=${hex(stranger.response())}`, "CHAP_I=1", `CHAP_C=${hex(bytes("a challenge"))}`];
    expect(statusOf(await stranger.say(STAY, ...all))).toBe(LoginStatus.Success);
    expect(statusOf(await stranger.say(STAY, key))).toBe(LoginStatus.InitiatorError);
    expect(stranger.closed).toBe("closed");
  });

  test("a challenge of its own that comes after the proof", async () => {
    const of = world();
    const stranger = await new Stranger(of).challenged();
    await stranger.say(STAY, "CHAP_N=ada", `CHAP_R=${hex(stranger.response())}`);
    const reply = await stranger.say(GO, "CHAP_I=1", "CHAP_C=0x0102");
    expectRefused(of, reply, stranger, "CHAP_I out of order");
  });

  test("an answer that was right once", async () => {
    const of = world();
    const first = await new Stranger(of).challenged();
    const heard = [`CHAP_N=ada`, `CHAP_R=${hex(first.response())}`];
    expect(statusOf(await first.say(STAY, ...heard))).toBe(LoginStatus.Success);
    const replayer = await new Stranger(of).challenged();
    expectRefused(of, await replayer.say(GO, ...heard), replayer, "is wrong");
  });

  test("to try again on the same challenge", async () => {
    const of = world();
    const stranger = await new Stranger(of).challenged();
    const wrong = await stranger.say(GO, "CHAP_N=ada", `CHAP_R=${hex(stranger.response("not-this-secret"))}`);
    expectRefused(of, wrong, stranger, "is wrong");
    expect(await stranger.say(GO, "CHAP_N=ada", `CHAP_R=${hex(stranger.response())}`)).toBeUndefined();
  });

  test.each([
    ["no binary value", "12"],
    ["nothing", ""],
    ["half a byte", "0x123"],
    ["digits that are none", `0x${"zz".repeat(32)}`],
    ["base64 without its padding", base64(new Uint8Array(32)).replace("=", "")],
    ["base64 with bits that no byte has", `0b${"A".repeat(42)}B=`],
    ["base64 of other characters", `0b${"-".repeat(43)}=`],
    ["a byte too few", hex(new Uint8Array(31))],
    ["a byte too many", hex(new Uint8Array(33))],
    ["a value as long as can be", `0x${"00".repeat(4000)}`],
    ["base64 as long as can be", `0b${"AAAA".repeat(2000)}`],
  ])("a response that is %s", async (_, value) => {
    const of = world();
    const stranger = await new Stranger(of).challenged();
    expectRefused(of, await stranger.say(GO, "CHAP_N=ada", `CHAP_R=${value}`), stranger, "no binary value");
  });

  test("a response with any bit changed", async () => {
    const bit = fc.record({ at: fc.nat(31), mask: fc.nat(7).map((place) => 1 << place) });
    await fc.assert(
      fc.asyncProperty(bit, async ({ at, mask }) => {
        const of = world();
        const stranger = await new Stranger(of).challenged();
        const response = stranger.response();
        response[at] ^= mask;
        const reply = await stranger.say(GO, "CHAP_N=ada", `CHAP_R=${hex(response)}`);
        expectRefused(of, reply, stranger, "is wrong");
      }),
    );
  });

  test("whatever else comes, no session opens", async () => {
    const some = fc.constantFrom(
      "AuthMethod=CHAP",
      "AuthMethod=None",
      "CHAP_A=5",
      "CHAP_N=ada",
      "CHAP_R=0x00",
      "CHAP_I=1",
    );
    const requests = fc.array(fc.tuple(fc.constantFrom(STAY, 0x81, GO, 0x04, 0x87), fc.array(some, { maxLength: 4 })));
    await fc.assert(
      fc.asyncProperty(requests, fc.boolean(), async (said, begun) => {
        const of = world();
        const stranger = begun ? await new Stranger(of).challenged() : new Stranger(of);
        for (const [at, [flags, keys]] of said.entries()) {
          if (stranger.closed !== "no") break;
          const names = !begun && at === 0 ? [`InitiatorName=${INITIATOR}`, `TargetName=${TARGET}`] : [];
          await stranger.say(flags, ...names, ...keys);
        }
        expect(of.server.sessions()).toEqual([]);
      }),
    );
  });
});

/** A run as far as the challenge, and a request with these keys; `CHAP_R` stands for the right response. */
function responded(...keys: readonly string[]) {
  return async (stranger: Stranger) => {
    await stranger.challenged();
    return stranger.say(GO, ...keys.map((key) => (key === "CHAP_R" ? `CHAP_R=${hex(stranger.response())}` : key)));
  };
}

async function respondedEarly(stranger: Stranger): Promise<Pdu> {
  await stranger.greet();
  return stranger.say(GO, "CHAP_N=ada", `CHAP_R=${hex(new Uint8Array(32))}`);
}

describe("mutual CHAP", () => {
  const CHALLENGE = bytes("prove who you are");

  async function ask(of: Bench, challenge: string, identifier = "77", secret = SECRET, algorithms = "7") {
    const stranger = await new Stranger(of).challenged(algorithms);
    const algorithm = NUMBERS.find(([number]) => number === algorithms)?.[1] ?? "sha256";
    const proof = ["CHAP_N=ada", `CHAP_R=${hex(stranger.response(secret, algorithm))}`];
    const reply = await stranger.say(GO, ...proof, `CHAP_I=${identifier}`, `CHAP_C=${challenge}`);
    return { stranger, reply };
  }

  test.each(NUMBERS)("algorithm %s, %s, in both encodings", async (number, algorithm) => {
    for (const encode of [hex, base64]) {
      const of = world();
      const { reply } = await ask(of, encode(CHALLENGE), "0x4D", SECRET, number);
      expect([statusOf(reply), reply.flags]).toEqual([LoginStatus.Success, GO]);
      expect([...keysOf(reply)]).toEqual([
        ["CHAP_N", "denver"],
        ["CHAP_R", hex(prove(algorithm, 77, OWN_SECRET, CHALLENGE))],
      ]);
      expect(of.server.sessions()).toHaveLength(1);
    }
  });

  test("the target proves nothing to whom has proven nothing", async () => {
    const of = world();
    const { stranger, reply } = await ask(of, hex(CHALLENGE), "1", "not-this-secret");
    expectRefused(of, reply, stranger, "is wrong");
  });

  test("a target without a secret of its own says so by refusing", async () => {
    const of = world({ secretOf: policy.secretOf });
    const { stranger, reply } = await ask(of, hex(CHALLENGE));
    expectRefused(of, reply, stranger, "asks the target for a proof");
  });

  test("the target's own challenge is not answered for it", async () => {
    const of = world();
    const stranger = await new Stranger(of).challenged();
    const proof = ["CHAP_N=ada", `CHAP_R=${hex(stranger.response())}`];
    const reply = await stranger.say(
      GO,
      ...proof,
      `CHAP_I=${stranger.identifier}`,
      `CHAP_C=${base64(stranger.challenge)}`,
    );
    expectRefused(of, reply, stranger, "own challenge back");
  });

  test("a challenge of another connection is of no use to whom knows no secret", async () => {
    const of = world();
    const victim = await new Stranger(of).challenged();
    const { stranger, reply } = await ask(of, hex(victim.challenge), String(victim.identifier), "not-this-secret");
    expectRefused(of, reply, stranger, "is wrong");
  });

  test("two sides with one secret", async () => {
    const of = world({ ...policy, mutual: { user: "denver", secret: bytes(SECRET) } });
    const { stranger, reply } = await ask(of, hex(CHALLENGE));
    expectRefused(of, reply, stranger, "its secret is the target's own");
  });

  test.each([
    ["an identifier over a byte", "256", hex(CHALLENGE), "CHAP_I is no number"],
    ["an identifier that is none", "x", hex(CHALLENGE), "CHAP_I is no number"],
    ["an empty challenge", "1", "0x", "challenge is no binary value"],
    ["a challenge of 1025 bytes", "1", hex(new Uint8Array(1025)), "challenge is no binary value"],
    ["a challenge of 1025 bytes in base64", "1", base64(new Uint8Array(1025)), "challenge is no binary value"],
    ["a challenge in decimal", "1", "12345", "challenge is no binary value"],
  ])("%s is refused", async (_, identifier, challenge, why) => {
    const of = world();
    const { stranger, reply } = await ask(of, challenge, identifier);
    expectRefused(of, reply, stranger, why);
  });

  test("a challenge of 1024 bytes is answered", async () => {
    for (const encode of [hex, base64]) {
      const { reply } = await ask(world(), encode(new Uint8Array(1024).fill(0xa5)));
      expect(statusOf(reply)).toBe(LoginStatus.Success);
    }
  });
});

describe("discovery with CHAP", () => {
  const other: Chap = { secretOf: (user) => (user === "finder" ? bytes("another-secret") : undefined) };
  const greet = (stranger: Stranger, methods = "CHAP") =>
    stranger.say(STAY, `InitiatorName=${INITIATOR}`, "SessionType=Discovery", `AuthMethod=${methods}`);

  async function discover(of: Bench, user: string, secret: string) {
    const stranger = new Stranger(of);
    expect(keysOf(await greet(stranger)).get("AuthMethod")).toBe("CHAP");
    const keys = keysOf(await stranger.say(STAY, "CHAP_A=7"));
    const proof = prove("sha256", Number(keys.get("CHAP_I")), secret, unhex(keys.get("CHAP_C")));
    return { stranger, reply: await stranger.say(GO, `CHAP_N=${user}`, `CHAP_R=${hex(proof)}`) };
  }

  test("has users of its own", async () => {
    const of = world(policy, other);
    expect(statusOf((await discover(of, "finder", "another-secret")).reply)).toBe(LoginStatus.Success);
    const { reply } = await discover(of, "ada", SECRET);
    expect(statusOf(reply)).toBe(LoginStatus.AuthenticationFailure);
  });

  test("is there without it where it is not asked for, whatever targets ask for", async () => {
    const of = world();
    expect(keysOf(await greet(new Stranger(of), "CHAP,None")).get("AuthMethod")).toBe("None");
    expect(statusOf(await greet(new Stranger(of), "CHAP"))).toBe(LoginStatus.AuthenticationFailure);
  });

  test("is refused without it where it is asked for", async () => {
    const of = world(policy, other);
    const stranger = new Stranger(of);
    expectRefused(of, await greet(stranger, "None"), stranger, "it offers no CHAP");
  });
});

test("a login that fails leaves the session alone that it would have taken the place of", async () => {
  const of = world();
  const first = await new Stranger(of).challenged();
  await first.say(GO, "CHAP_N=ada", `CHAP_R=${hex(first.response())}`);
  const thief = await new Stranger(of).challenged();
  await thief.say(GO, "CHAP_N=ada", `CHAP_R=${hex(thief.response("not-this-secret"))}`);
  expect([first.closed, thief.closed]).toEqual(["no", "closed"]);
  expect(of.server.sessions()).toHaveLength(1);
  const again = await new Stranger(of).challenged();
  await again.say(GO, "CHAP_N=ada", `CHAP_R=${hex(again.response())}`);
  expect(first.closed).toBe("aborted");
  expect(of.server.sessions()).toHaveLength(1);
});
