import { describe, expect, test } from "vitest";
import { before, LoginResponse, lunWord, padding, R2T, readLun, ScsiCommand, ScsiResponse } from "./pdu.ts";
import { bench, build, Initiator, pattern, read10, text, write10 } from "./testing/initiator.ts";

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytesOf = (view: DataView) => new Uint8Array(view.buffer, view.byteOffset, 48);

describe("header layouts", () => {
  test("offsets are those of RFC 7143 section 11", () => {
    expect(ScsiCommand.expectedDataTransferLength).toBe(20);
    expect(ScsiCommand.cdb).toBe(32);
    expect(ScsiResponse.residualCount).toBe(44);
    expect(R2T.desiredDataTransferLength).toBe(44);
    expect(LoginResponse.status).toBe(36);
  });

  test("a LUN is read in peripheral and flat form, and in no other", () => {
    const view = new DataView(new ArrayBuffer(8));
    for (const lun of [0, 1, 255, 256, 16383]) {
      view.setUint32(0, lunWord(lun));
      expect(readLun(view, 0)).toBe(lun);
    }
    for (const word of [0x01000000, 0x80000000, 0xc1000000, 0x00000001]) {
      view.setUint32(0, word);
      expect(readLun(view, 0)).toBe(-1);
    }
    view.setUint32(0, 0);
    view.setUint32(4, 1);
    expect(readLun(view, 0)).toBe(-1);
  });

  test("serial numbers wrap", () => {
    expect(before(0xffffffff, 0)).toBe(true);
    expect(before(0, 0xffffffff)).toBe(false);
    expect(before(0x7fffffff, 0x80000000)).toBe(true);
    expect(before(5, 5)).toBe(false);
    expect([0, 1, 2, 3, 4].map(padding)).toEqual([0, 3, 2, 1, 0]);
  });
});

describe("golden PDUs", () => {
  test("login response", async () => {
    const initiator = new Initiator(bench());
    initiator.cmdSN = 0x10;
    const reply = await initiator.login();
    expect(hex(bytesOf(reply.header))).toBe(
      "23870000" +
        `00${reply.data.length.toString(16).padStart(6, "0")}` +
        "801234560000" +
        "002a" +
        "00000001" +
        "00000000" +
        "00000000" +
        "00000010" +
        "0000008f" +
        "0000" +
        "00000000000000000000",
    );
    expect(new TextDecoder().decode(reply.data)).toBe("TargetPortalGroupTag=1\0MaxRecvDataSegmentLength=262144\0");
  });

  test("Data-In with status, R2T and SCSI Response", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("InitialR2T=Yes", "ImmediateData=No");
    world.device.bytes.set(pattern(512));
    await initiator.send(initiator.command(read10(0, 1), { read: 1024 }));
    const [dataIn] = initiator.receive();
    // F and S, underflow of 512; StatSN 2, ExpCmdSN 3, the window 128 from there.
    expect(hex(bytesOf(dataIn.header))).toBe(
      "25830000" +
        "00000200" +
        "0000000000000000" +
        "00000002" +
        "ffffffff" +
        "00000002" +
        "00000003" +
        "00000082" +
        "00000000" +
        "00000000" +
        "00000200",
    );
    expect(dataIn.data).toEqual(pattern(512));
    await initiator.send(initiator.command(write10(0, 1), { write: 512 }));
    const [r2t] = initiator.receive();
    expect(hex(bytesOf(r2t.header))).toBe(
      "31800000" +
        "00000000" +
        "0000000000000000" +
        "00000003" +
        "fffffff1" +
        "00000003" +
        "00000004" +
        "00000082" +
        "00000000" +
        "00000000" +
        "00000200",
    );
    await initiator.send(initiator.dataOut(3, 0xfffffff1, 0, 0, pattern(512), true));
    const [response] = initiator.receive();
    expect(hex(bytesOf(response.header))).toBe(
      "21800000" +
        "00000000" +
        "0000000000000000" +
        "00000003" +
        "00000000" +
        "00000003" +
        "00000004" +
        "00000083" +
        "00000001" +
        "00000000" +
        "00000000",
    );
  });

  test("check condition with fixed sense, and a reject that holds the header", async () => {
    const initiator = new Initiator(bench());
    await initiator.login();
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    const [attention] = initiator.receive();
    expect(attention.header.getUint8(3)).toBe(0x02);
    expect(hex(attention.data)).toBe("0012" + "70000600" + "0000000a" + "00000000" + "2900" + "00000000");
    const snack = build(0x10, { itt: 9 });
    await initiator.send(snack);
    const [reject] = initiator.receive();
    expect(reject.opcode).toBe(0x3f);
    expect(reject.header.getUint8(2)).toBe(0x03);
    expect(reject.data).toEqual(snack);
  });

  test("NOP-In echoes, and Text answers", async () => {
    const initiator = await new Initiator(bench()).ready();
    await initiator.send(build(0x00, { itt: 77, words: { 20: 0xffffffff, 24: initiator.cmdSN++ }, data: pattern(5) }));
    const [nop] = initiator.receive();
    expect([nop.opcode, nop.header.getUint32(16), nop.header.getUint32(20)]).toEqual([0x20, 77, 0xffffffff]);
    expect(nop.data).toEqual(pattern(5));
    await initiator.send(
      build(0x04, { itt: 78, words: { 20: 0xffffffff, 24: initiator.cmdSN++ }, data: text("SendTargets=", "X-a=1") }),
    );
    const [answer] = initiator.receive();
    expect(new TextDecoder().decode(answer.data)).toBe(
      "X-a=NotUnderstood\0TargetName=iqn.2026-11.dev.antipode:test\0TargetAddress=192.0.2.2:3260,1\0",
    );
  });
});
