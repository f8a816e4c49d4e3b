/** TaskReporting of RFC 7143 section 13.23: response fences, and what FastAbort tells of tasks that end. */

import { describe, expect, test } from "vitest";
import { bench, build, Initiator, type Pdu, pattern, read10, responses, write10 } from "./testing/initiator.ts";
import { RamDevice } from "./testing/world.ts";

const ABORT_TASK_SET = 2;
const LOGICAL_UNIT_RESET = 5;
const TARGET_WARM_RESET = 6;
const FENCE = "TaskReporting=ResponseFence,RFC3720";
const FAST_ABORT = "TaskReporting=FastAbort,ResponseFence,RFC3720";
const READY = [0, 0, 0, 0, 0, 0];

/** A target of two units, which are one device. */
function world() {
  const device = new RamDevice(4096);
  const identity = { vendor: "ANTIPODE", product: "TEST", revision: "1", serial: "s-1", naa: 0x3000000000000001n };
  const luns = [0, 1].map((lun) => ({ lun, device, identity: { ...identity, serial: `s-${lun}` } }));
  return bench({ device, target: { luns } });
}

/** A session with two connections, and the attentions of its LUNs out of the way. */
async function pair(to = world(), port?: { name: string; isid: number }, ...keys: readonly string[]) {
  const one = await new Initiator(to, port).ready("MaxConnections=2", ...keys);
  await one.send(one.command(READY, { lun: 1 }));
  one.receive();
  const two = one.beside(7);
  await two.login();
  // What was sent up to now is acknowledged.
  await one.send(acknowledge(one, 100));
  return { to, one, two };
}

const acknowledge = (on: Initiator, expStatSN: number) =>
  build(0x00, { immediate: true, itt: 0xffffffff, words: { 20: 0xffffffff, 24: on.cmdSN, 28: expStatSN } });

const statSN = ({ header }: Pdu) => header.getUint32(24);
/** Without probes. */
const answers = (on: Initiator) => on.receive().filter(({ opcode }) => opcode !== 0x20);
/** The LUNs of messages that tasks end. */
const terminations = (on: Initiator) =>
  on
    .receive()
    .flatMap(({ opcode, header }) => (opcode === 0x32 && header.getUint8(36) === 5 ? [header.getUint16(8)] : []));

async function acknowledgeAll(on: Initiator, pdus: readonly Pdu[]): Promise<void> {
  const last = pdus.at(-1);
  if (last !== undefined) await on.send(acknowledge(on, statSN(last) + 1));
}

describe("a fence", () => {
  test("after a function holds the responses of its LUN until the answer is acknowledged, and no other's", async () => {
    const { one, two } = await pair(undefined, undefined, FENCE);
    await one.send(one.management(ABORT_TASK_SET));
    const answer = answers(one);
    expect(responses(answer)).toEqual([[0x22, 0]]);
    const tag = two.itt;
    await two.send(
      two.command(read10(0, 1), { read: 512 }),
      two.command(read10(0, 1), { read: 512, lun: 1 }),
      two.command(READY),
    );
    // Data may come; the status is what waits.
    expect(answers(two).map(({ opcode, header }) => [opcode, header.getUint32(16)])).toEqual([
      [0x25, tag],
      [0x25, tag + 1],
      [0x21, tag + 1],
    ]);
    await acknowledgeAll(one, answer);
    expect(answers(two).map(({ opcode, header }) => [opcode, header.getUint32(16)])).toEqual([
      [0x21, tag],
      [0x21, tag + 2],
    ]);
  });

  test("of all LUNs after a reset of the target, whose attention comes ahead of all else", async () => {
    const { one, two } = await pair(undefined, undefined, FENCE);
    await one.send(one.management(TARGET_WARM_RESET));
    const answer = answers(one);
    expect(responses(answer)).toEqual([[0x22, 0]]);
    await two.send(two.command(READY));
    await one.send(one.command(READY), one.command(READY, { lun: 1 }));
    expect([answers(one), answers(two)]).toEqual([[], []]);
    await acknowledgeAll(one, answer);
    const attention = answers(two);
    expect([attention.length, attention[0].data[14], answers(one).length]).toEqual([1, 0x29, 0]);
    await acknowledgeAll(two, attention);
    // LUN 1 has an attention of its own; that of LUN 0 was told.
    const rest = answers(one);
    expect(rest.map(({ header }) => header.getUint8(3))).toEqual([2, 0]);
    await acknowledgeAll(one, rest);
    await two.send(two.command(READY));
    expect(answers(two).length).toBe(1);
  });

  test("of another session: the reset's attention waits for what was sent before, and all else for it", async () => {
    const to = world();
    const { one, two } = await pair(to, { name: "iqn.third", isid: 3 << 8 }, FENCE);
    const other = await new Initiator(to).ready();
    await one.send(one.command(READY));
    const before = answers(one);
    await other.send(other.management(LOGICAL_UNIT_RESET));
    expect(responses(answers(other))).toEqual([[0x22, 0]]);
    await two.send(two.command(READY));
    await one.send(one.command(READY));
    expect([answers(one), answers(two)]).toEqual([[], []]);
    await acknowledgeAll(one, before);
    const attention = answers(two);
    expect([attention.length, attention[0].data[14], answers(one).length]).toEqual([1, 0x29, 0]);
    await acknowledgeAll(two, attention);
    expect(answers(one).map(({ header }) => header.getUint8(3))).toEqual([0]);
  });

  test("is there after PREEMPT AND ABORT", async () => {
    const { one, two } = await pair(undefined, undefined, FENCE);
    const reserve = (action: number, key: number, other: number) => {
      const data = new Uint8Array(24);
      data[7] = key;
      data[15] = other;
      return one.command([0x5f, action, action === 5 ? 5 : 0, 0, 0, 0, 0, 0, 24, 0], { write: 24, data });
    };
    await one.send(reserve(0, 0, 9));
    await acknowledgeAll(one, answers(one));
    await one.send(reserve(5, 9, 9));
    const done = answers(one);
    await two.send(two.command(READY));
    expect([done.map(({ header }) => header.getUint8(3)), answers(two)]).toEqual([[0], []]);
    await acknowledgeAll(one, done);
    expect(answers(two).length).toBe(1);
  });

  test("is passed where its connection is lost, and what waits at it may be aborted or end with its connection", async () => {
    const { to, one, two } = await pair(undefined, undefined, FENCE);
    await one.send(one.management(ABORT_TASK_SET));
    answers(one);
    const tag = two.itt;
    await two.send(two.command(READY), two.command(READY));
    await one.send(build(0x02, { immediate: true, flags: 0x81, itt: 6000, words: { 20: tag, 24: one.cmdSN } }));
    expect(responses(answers(one))).toEqual([[0x22, 0]]);
    expect([answers(two).length, to.server.sessions()[0].tasks]).toEqual([0, 1]);
    one.connection.onClose();
    await to.timers.turn();
    expect(answers(two).map(({ header }) => header.getUint32(16))).toEqual([tag + 1]);
    two.connection.onClose();
    await to.timers.turn();
    expect(to.server.heldSessions).toBe(0);
  });

  test("that waits for nothing any more, since its task was aborted, lets no later one pass", async () => {
    const to = world();
    const { one, two } = await pair(to, { name: "iqn.third", isid: 3 << 8 }, FENCE);
    const other = await new Initiator(to).ready();
    await two.send(two.command(READY));
    const before = answers(two);
    await other.send(other.management(LOGICAL_UNIT_RESET));
    const tag = one.itt;
    await one.send(one.command(READY));
    expect(answers(one)).toEqual([]);
    await one.send(build(0x02, { immediate: true, flags: 0x81, itt: 6000, words: { 20: tag, 24: one.cmdSN } }));
    const aborted = answers(one);
    expect(responses(aborted)).toEqual([[0x22, 0]]);
    await other.send(other.management(LOGICAL_UNIT_RESET));
    // Its attention is one that waits for what was sent on the other connection.
    await two.send(two.command(READY));
    await acknowledgeAll(two, before);
    expect(answers(two)).toEqual([]);
    await acknowledgeAll(one, aborted);
    expect(answers(two).map(({ data }) => data[14])).toEqual([0x29]);
  });

  test.each([
    ["agreed to with one connection", FENCE, true],
    ["not agreed to", "TaskReporting=RFC3720", false],
  ])("is not there where it is %s", async (_, key, alone) => {
    const { one, two } = await pair(undefined, undefined, key);
    if (alone) two.connection.onClose();
    await one.send(one.management(LOGICAL_UNIT_RESET));
    expect(responses(answers(one))).toEqual([[0x22, 0]]);
    const on = alone ? one : two;
    await on.send(on.command(READY), on.command(READY));
    expect(answers(on).length).toBe(2);
  });
});

describe("FastAbort", () => {
  async function writing() {
    const set = await pair(undefined, undefined, FAST_ABORT);
    const { one, two } = set;
    const tag = two.itt;
    await two.send(
      two.command(write10(0, 2), { write: 1024 }),
      two.command(write10(0, 2), { write: 1024 }),
      two.command(write10(8, 2), { write: 1024, lun: 1 }),
    );
    const tags = two.receive().map(({ header }) => header.getUint32(20));
    await one.send(one.command(write10(16, 2), { write: 1024 }));
    one.receive();
    return { ...set, tag, tags };
  }

  test.each([
    ["ABORT TASK SET", ABORT_TASK_SET, [0]],
    ["LOGICAL UNIT RESET", LOGICAL_UNIT_RESET, [0]],
    ["TARGET WARM RESET", TARGET_WARM_RESET, [0, 1]],
  ])(
    "%s tells the other connection of each LUN whose tasks end, and takes no notice of their data",
    async (_, code, luns) => {
      const { to, one, two, tag, tags } = await writing();
      await one.send(one.management(code));
      const messages = two.receive();
      expect(messages.map(({ opcode, header }) => [opcode, header.getUint8(36), header.getUint16(8)])).toEqual([
        ...luns.map((lun) => [0x32, 5, lun]),
        // The function waits for all of it to be acknowledged.
        [0x20, 0, 0],
      ]);
      expect(one.receive()).toEqual([]);
      await two.send(two.dataOut(tag, tags[0], 0, 0, pattern(1024), true));
      expect(two.receive()).toEqual([]);
      await two.send(acknowledge(two, statSN(messages[luns.length - 1]) + 1));
      expect(responses(answers(one))).toEqual([[0x22, 0]]);
      expect(to.device.calls.some((call) => call.startsWith("write"))).toBe(false);
    },
  );

  test("tells a third party that has agreed to it, whoever resets, and no other", async () => {
    const to = world();
    const third = await pair(to, { name: "iqn.third", isid: 3 << 8 }, FAST_ABORT);
    const fourth = await pair(to, { name: "iqn.fourth", isid: 4 << 8 }, FENCE);
    for (const { two } of [third, fourth]) await two.send(two.command(write10(0, 2), { write: 1024, lun: 1 }));
    const other = await new Initiator(to).ready();
    await other.send(other.management(LOGICAL_UNIT_RESET, { 8: 1 << 16 }));
    expect([third.one, third.two, fourth.one, fourth.two].map(terminations)).toEqual([[], [1], [], []]);
    expect(responses(answers(other))).toEqual([[0x22, 0]]);
  });
});
