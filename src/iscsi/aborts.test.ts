/**
 * Every way to end a task, at every state that one can be in: from then on it asks nothing of its device any more, its end is
 * told once the device is done, it is answered once or not at all, and nothing of it is left behind.
 */

import { describe, expect, test } from "vitest";
import type { Pending } from "./interfaces.ts";
import {
  type Bench,
  bench,
  build,
  Initiator,
  type Pdu,
  pattern,
  read10,
  same,
  TARGET,
  text,
  write10,
} from "./testing/initiator.ts";
import { cdb16 } from "./testing/scsi.ts";
import { RamDevice } from "./testing/world.ts";

const MiB = 1024 * 1024;
/** The task is about this block, and no other command is. */
const LBA = 40;
const ELSEWHERE = 8;
const ABORT_TASK = 1;
const ABORT_TASK_SET = 2;
const CLEAR_TASK_SET = 4;
const LOGICAL_UNIT_RESET = 5;
const TARGET_WARM_RESET = 6;
const I_T_NEXUS_RESET = 11;
const TASK_ABORTED = 0x40;
const ORDERED = 2;
/** Of what asks for the end. */
const END_TAG = 500;

const KEYS = ["iSCSIProtocolLevel=2", "MaxRecvDataSegmentLength=262144", "MaxBurstLength=1048576"];

interface State {
  readonly name: string;
  readonly keys?: readonly string[];
  readonly writeBudget?: number;
  /** A PDU has come in part: nothing else can come on its connection. */
  readonly isMidPdu?: boolean;
  /** Brings a task there. Its tag is the next when this is called, unless it returns another. */
  readonly enter: (initiator: Initiator, world: Bench) => Promise<number | undefined>;
}

const compareAndWrite = (lba: number) => [...cdb16(0x89, lba, 1).slice(0, 10), 0, 0, 0, 1, 0, 0];

/** A device that no signal stops. */
class Unstoppable extends RamDevice {
  override read(lba: number, into: Uint8Array): Pending {
    return super.read(lba, into);
  }

  override write(lba: number, from: Uint8Array): Pending {
    return super.write(lba, from);
  }
}

/** What still comes for the task from an initiator that does not know yet that it has ended. */
let late: Uint8Array | undefined;

/** Of the R2T that has come. */
function transferTagIn(initiator: Initiator): number {
  const [r2t] = initiator.receive();
  expect(r2t.opcode).toBe(0x31);
  return r2t.header.getUint32(20);
}

async function sendAll(initiator: Initiator, tag: number, transferTag: number, bytes: number): Promise<void> {
  for (let at = 0, dataSN = 0; at < bytes; at += 262144, dataSN++) {
    const part = pattern(Math.min(262144, bytes - at));
    await initiator.send(initiator.dataOut(tag, transferTag, dataSN, at, part, at + part.length === bytes));
  }
}

const STATES: readonly State[] = [
  {
    name: "a read at its device",
    enter: async (initiator, { device }) => {
      device.held = true;
      await initiator.send(initiator.command(read10(LBA, 1), { read: 512 }));
      return undefined;
    },
  },
  {
    name: "a read of several pieces that waits for room in the output",
    enter: async (initiator) => {
      initiator.transport.capacity = 100_000;
      const tag = initiator.itt + 5;
      await initiator.send(
        ...Array.from({ length: 5 }, () => initiator.command(read10(ELSEWHERE, 2048), { read: MiB })),
        initiator.command(read10(LBA, 4096), { read: 2 * MiB }),
      );
      return tag;
    },
  },
  {
    name: "an ordered read behind a write at its device",
    enter: async (initiator, { device }) => {
      device.held = true;
      const tag = initiator.itt + 1;
      await initiator.send(
        initiator.command(write10(ELSEWHERE, 1), { write: 512, data: pattern(512) }),
        initiator.command(read10(LBA, 1), { read: 512, attribute: ORDERED }),
      );
      return tag;
    },
  },
  {
    name: "a write whose data was asked for",
    enter: async (initiator) => {
      const tag = initiator.itt;
      await initiator.send(initiator.command(write10(LBA, 2), { write: 1024 }));
      late = initiator.dataOut(tag, transferTagIn(initiator), 0, 0, pattern(1024), true);
      return undefined;
    },
  },
  {
    name: "a write in the middle of a sequence",
    enter: async (initiator) => {
      const tag = initiator.itt;
      await initiator.send(initiator.command(write10(LBA, 4), { write: 2048 }));
      const transferTag = transferTagIn(initiator);
      await initiator.send(initiator.dataOut(tag, transferTag, 0, 0, pattern(512), false));
      late = initiator.dataOut(tag, transferTag, 1, 512, pattern(1536), true);
      return undefined;
    },
  },
  {
    name: "a write in the middle of a Data-Out",
    isMidPdu: true,
    enter: async (initiator) => {
      const tag = initiator.itt;
      await initiator.send(initiator.command(write10(LBA, 64), { write: 32768 }));
      const data = initiator.dataOut(tag, transferTagIn(initiator), 0, 0, pattern(32768), true);
      await initiator.send(data.slice(0, 20_000));
      late = data.slice(20_000);
      return undefined;
    },
  },
  {
    name: "a write in the middle of its unsolicited data",
    keys: ["InitialR2T=No"],
    enter: async (initiator) => {
      const tag = initiator.itt;
      await initiator.send(
        initiator.command(write10(LBA, 4), { write: 2048, data: pattern(512), more: true }),
        initiator.dataOut(tag, 0xffffffff, 0, 512, pattern(512), false),
      );
      late = initiator.dataOut(tag, 0xffffffff, 1, 1024, pattern(1024), true);
      return undefined;
    },
  },
  {
    name: "a write that waits for a buffer",
    writeBudget: 9 * MiB,
    enter: async (initiator) => {
      const tag = initiator.itt + 1;
      await initiator.send(
        initiator.command(write10(ELSEWHERE, 2048), { write: MiB }),
        initiator.command(write10(LBA, 2048), { write: MiB }),
      );
      return tag;
    },
  },
  {
    name: "a write at its device",
    enter: async (initiator, { device }) => {
      device.held = true;
      await initiator.send(initiator.command(write10(LBA, 1), { write: 512, data: pattern(512) }));
      return undefined;
    },
  },
  {
    name: "a write of which one piece is at its device, and the next was asked for",
    enter: async (initiator, { device }) => {
      device.held = true;
      const tag = initiator.itt;
      await initiator.send(initiator.command(write10(LBA, 4096), { write: 2 * MiB }));
      await sendAll(initiator, tag, transferTagIn(initiator), MiB);
      late = initiator.dataOut(tag, transferTagIn(initiator), 0, MiB, pattern(512), false);
      return undefined;
    },
  },
  {
    name: "a COMPARE AND WRITE that reads",
    enter: async (initiator, { device }) => {
      device.held = true;
      await initiator.send(initiator.command(compareAndWrite(LBA), { write: 1024, data: new Uint8Array(1024) }));
      return undefined;
    },
  },
  {
    name: "an ORWRITE that reads",
    enter: async (initiator, { device }) => {
      device.held = true;
      await initiator.send(initiator.command(cdb16(0x8b, LBA, 1), { write: 512, data: pattern(512) }));
      return undefined;
    },
  },
  {
    name: "a WRITE AND VERIFY that writes",
    enter: async (initiator, { device }) => {
      device.held = true;
      await initiator.send(initiator.command(cdb16(0x8e, LBA, 1, 2), { write: 512, data: pattern(512) }));
      return undefined;
    },
  },
  {
    name: "a COMPARE AND WRITE that waits for another",
    enter: async (initiator, { device }) => {
      device.held = true;
      const tag = initiator.itt + 1;
      const data = new Uint8Array(1024);
      await initiator.send(
        initiator.command(compareAndWrite(ELSEWHERE), { write: 1024, data }),
        initiator.command(compareAndWrite(LBA), { write: 1024, data }),
      );
      return tag;
    },
  },
  {
    name: "a write that is held up by a COMPARE AND WRITE",
    enter: async (initiator, { device }) => {
      device.held = true;
      const tag = initiator.itt + 1;
      await initiator.send(
        initiator.command(compareAndWrite(ELSEWHERE), { write: 1024, data: new Uint8Array(1024) }),
        initiator.command(write10(LBA, 1), { write: 512, data: pattern(512) }),
      );
      return tag;
    },
  },
  {
    name: "a WRITE SAME that waits for its block",
    enter: async (initiator) => {
      const tag = initiator.itt;
      await initiator.send(initiator.command(cdb16(0x93, LBA, 4), { write: 512 }));
      late = initiator.dataOut(tag, transferTagIn(initiator), 0, 0, pattern(512), true);
      return undefined;
    },
  },
  {
    name: "a WRITE SAME in the middle of its pieces",
    enter: async (initiator, { device }) => {
      device.held = true;
      await initiator.send(initiator.command(cdb16(0x93, LBA, 4096), { write: 512, data: pattern(512) }));
      return undefined;
    },
  },
];

interface At {
  readonly world: Bench;
  readonly initiator: Initiator;
  readonly tag: number;
}

interface End {
  readonly name: string;
  readonly run: (at: At) => Promise<void>;
  /** Whether the initiator has been told that it is done. */
  readonly isTold: (at: At, pdus: readonly Pdu[]) => boolean;
  /** The status that the task has of it, if any. */
  readonly status?: number;
  readonly endsConnection?: boolean;
  /** It is asked for on the connection of the task. */
  readonly isAsked?: boolean;
}

let other: Initiator | undefined;
const OTHER = { name: "iqn.other", isid: 9 << 8 };

const isComplete = ({ opcode, header }: Pdu) => opcode === 0x22 && header.getUint8(2) === 0;

const manage = (by: Initiator, code: number, tag = 0xffffffff) =>
  build(0x02, { immediate: true, flags: 0x80 | code, itt: END_TAG, words: { 20: tag, 24: by.cmdSN } });

const isLoggedIn = ({ opcode, header }: Pdu) => opcode === 0x23 && header.getUint16(36) === 0;

const loginOf = ({ port, tsih }: Initiator) =>
  build(0x03, {
    immediate: true,
    flags: 0x87,
    words: { 8: port.isid, 12: tsih, 24: 1 },
    data: text(`InitiatorName=${port.name}`, `TargetName=${TARGET}`),
  });

const managed = (name: string, code: number): End => ({
  name,
  run: ({ initiator, tag }) => initiator.send(manage(initiator, code, code === ABORT_TASK ? tag : undefined)),
  isTold: (_, pdus) => pdus.some(isComplete),
  isAsked: true,
});

const ENDS: readonly End[] = [
  managed("ABORT TASK", ABORT_TASK),
  managed("ABORT TASK SET", ABORT_TASK_SET),
  managed("CLEAR TASK SET", CLEAR_TASK_SET),
  managed("LOGICAL UNIT RESET", LOGICAL_UNIT_RESET),
  managed("TARGET WARM RESET", TARGET_WARM_RESET),
  managed("I_T NEXUS RESET", I_T_NEXUS_RESET),
  {
    name: "LOGICAL UNIT RESET by another initiator",
    run: async ({ world }) => {
      other = await new Initiator(world, OTHER).ready();
      await other.send(manage(other, LOGICAL_UNIT_RESET));
    },
    isTold: () => other?.receive().some(isComplete) === true,
    status: TASK_ABORTED,
  },
  {
    name: "logout",
    run: ({ initiator }) =>
      initiator.send(build(0x06, { immediate: true, itt: END_TAG, words: { 24: initiator.cmdSN } })),
    isTold: (_, pdus) => pdus.some(({ opcode, header }) => opcode === 0x26 && header.getUint8(2) === 0),
    endsConnection: true,
    isAsked: true,
  },
  {
    name: "the loss of the connection",
    run: async ({ initiator }) => initiator.connection.onClose(),
    isTold: ({ world }) => world.server.heldSessions === 0,
    endsConnection: true,
  },
  {
    name: "reinstatement of the session",
    run: async ({ world }) => {
      other = new Initiator(world);
      // The connection itself has the reply, if it has come at once.
      await other.send(loginOf(other));
    },
    isTold: () => other?.receive().some(isLoggedIn) === true,
    endsConnection: true,
  },
  {
    name: "reinstatement of its connection",
    run: async ({ initiator }) => {
      other = initiator.beside(initiator.cid);
      await other.send(loginOf(other));
    },
    isTold: ({ world }) =>
      other?.receive().some(isLoggedIn) === true && world.server.sessions().every(({ tasks }) => tasks === 0),
    endsConnection: true,
  },
  {
    name: "the end of the LUN",
    run: async ({ world }) => {
      removed = false;
      void world.target.removeLun(0).then(() => {
        removed = true;
      });
    },
    isTold: () => removed,
    status: TASK_ABORTED,
  },
];
let removed = false;

/** Those that can come while a task is in a state. */
const endsOf = (isMidPdu: boolean) => ENDS.filter(({ isAsked = false }) => !(isMidPdu && isAsked));

describe.each(STATES)("$name", ({ keys = [], writeBudget, isMidPdu = false, enter }) => {
  test.each(endsOf(isMidPdu))("ended by $name", async (end) => {
    const { name, run, isTold, status, endsConnection = false, isAsked = false } = end;
    const world = bench({ device: new Unstoppable(8192), ...(writeBudget === undefined ? {} : { writeBudget }) });
    const { device } = world;
    const initiator = await new Initiator(world).ready(...KEYS, ...keys);
    late = undefined;
    other = undefined;
    const next = initiator.itt;
    const tag = (await enter(initiator, world)) ?? next;
    const at: At = { world, initiator, tag };
    const pdus = initiator.receive();
    const isOfTask = ({ header }: Pdu) => header.getUint32(16) === tag;
    const isAnswer = ({ header }: Pdu) => header.getUint32(16) === END_TAG;
    const responses = () => pdus.filter((pdu) => pdu.opcode === 0x21 && isOfTask(pdu));
    /** Of another command of the initiator, that waits for its data. */
    const waiting = name === "ABORT TASK" && writeBudget !== undefined ? 1 : 0;
    const ofTask = () => device.calls.filter((call) => call.includes(` ${LBA}+`)).length;
    expect(responses()).toEqual([]);
    const isAtDevice = device.gates.some(({ lba }) => lba === LBA);
    const calls = ofTask();

    await run(at);
    pdus.push(...initiator.receive());
    let told = isTold(at, pdus);
    if (isAtDevice) expect(told, "told before the device had ended").toBe(false);
    if (late !== undefined && initiator.transport.closed === "no") await initiator.send(late);
    /** Goes on with everything, the initiator's other commands as well, until nothing comes any more. */
    const goOn = async () => {
      for (let quiet = 0; quiet < 8; quiet++) {
        const gate = device.gates.shift();
        gate?.open();
        await world.timers.turn();
        const fresh = initiator.transport.closed === "no" ? await initiator.drain() : initiator.receive();
        pdus.push(...fresh);
        told ||= isTold(at, pdus);
        if (gate !== undefined || fresh.length > 0) quiet = 0;
      }
    };
    await goOn();
    expect(told, "never told").toBe(true);
    expect(ofTask(), "asked more of the device").toBe(calls);
    expect(pdus.some(({ opcode }) => opcode === 0x3f)).toBe(false);
    if (isAsked) expect(pdus.slice(pdus.findIndex(isAnswer)).some(isOfTask)).toBe(false);
    expect(responses().map(({ header }) => header.getUint8(3))).toEqual(status === undefined ? [] : [status]);
    if (!endsConnection) {
      expect(initiator.transport.closed).toBe("no");
      const probe = initiator.itt;
      await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
      await goOn();
      expect(pdus.some(({ opcode, header }) => opcode === 0x21 && header.getUint32(16) === probe)).toBe(true);
      expect(world.server.sessions()[0].tasks).toBe(waiting);
    }
    for (const one of [initiator, other]) one?.connection.onClose();
    for (const gate of device.gates.splice(0)) gate.open();
    await world.timers.turn();
    await world.server.close();
    expect(world.memory.outstanding).toBe(0);
  });
});

test("a Data-Out that has come in part, of a write that another connection has aborted, reaches nobody's buffer", async () => {
  const world = bench();
  const one = await new Initiator(world).ready("MaxConnections=2");
  const two = one.beside(1);
  await two.login();
  const write = async (by: Initiator, lba: number) => {
    const tag = by.itt;
    await by.send(by.command(write10(lba, 64), { write: 32768 }));
    return { tag, transferTag: transferTagIn(by) };
  };
  const aborted = await write(one, LBA);
  const bytes = one.dataOut(aborted.tag, aborted.transferTag, 0, 0, pattern(32768, 1), true);
  await one.send(bytes.slice(0, 20_000));
  await two.send(manage(two, ABORT_TASK, aborted.tag));
  expect(two.receive().map(isComplete)).toEqual([true]);
  // Its buffer is free, and the next one's now.
  const next = await write(two, 1000);
  const data = pattern(32768, 2);
  await two.send(two.dataOut(next.tag, next.transferTag, 0, 0, data.slice(0, 32256), false));
  await one.send(bytes.slice(20_000), one.command(read10(LBA, 1), { read: 512 }));
  await two.send(two.dataOut(next.tag, next.transferTag, 1, 32256, data.slice(32256), true));
  expect([one, two].map((each) => each.receive().map(({ opcode }) => opcode))).toEqual([[0x25], [0x21]]);
  expect(world.device.calls.toSorted()).toEqual([`read ${LBA}+1`, "write 1000+64"]);
  expect(same(world.device.bytes.subarray(1000 * 512, 1064 * 512), data)).toBe(true);
  expect(world.server.sessions()).toMatchObject([{ tasks: 0, bytesHeld: 0, connections: 2 }]);
});
