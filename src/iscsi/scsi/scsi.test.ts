import { describe, expect, test } from "vitest";
import { WRITE_SAME_BYTES_MAX } from "../limits.ts";
import { pattern, read10, same, write10 } from "../testing/initiator.ts";
import { another, cdb16, host, type Run } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";
import { formatSense, Senses } from "./sense.ts";

const ascii = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe("SPC", () => {
  test("INQUIRY and its pages", async () => {
    const { run } = await host();
    const standard = (await run([0x12, 0, 0, 0, 255, 0], { read: 255 })).data;
    expect([standard[0], standard[2], standard[3] & 15, standard[4]]).toEqual([0, 6, 2, standard.length - 5]);
    expect(ascii(standard.subarray(8, 36))).toBe("ANTIPODETEST            1   ");
    const page = async (code: number) => (await run([0x12, 1, code, 0, 255, 0], { read: 255 })).data;
    expect([...(await page(0))]).toEqual([0, 0, 0, 10, 0, 0x80, 0x83, 0x86, 0x87, 0x88, 0x8f, 0xb0, 0xb1, 0xb2]);
    expect(ascii((await page(0x80)).subarray(4))).toBe("s-1");
    const identification = await page(0x83);
    expect([...identification.subarray(4, 16)]).toEqual([1, 3, 0, 8, 0x30, 0, 0, 0, 0, 0, 0, 1]);
    const extended = await page(0x86);
    expect([extended.length, ...extended.subarray(4, 8)]).toEqual([64, 0, 0x07, 0, 0x01]);
    expect([...(await page(0x87))]).toEqual([0, 0x87, 0, 4, 0x3f, 0xff, 0, 0]);
    const limits = new DataView((await page(0xb0)).buffer);
    expect([limits.getUint32(8), limits.getUint32(12)]).toEqual([16384, 2048]);
    expect((await run([0x12, 1, 0x99, 0, 255, 0], { read: 255 })).sense).toBe("5/24/0");
    expect((await run([0x12, 0, 1, 0, 255, 0], { read: 255 })).sense).toBe("5/24/0");
  });

  test("who a LUN is does not depend on the server that has it, and no two are the same", async () => {
    const device = new RamDevice(64);
    const luns = [0, 1].map((lun) => ({
      lun,
      device,
      identity: { vendor: "V", product: "P", revision: "1", serial: `s${lun}`, naa: (3n << 60n) + BigInt(lun) },
    }));
    /** Designators of the unit: association 00b. */
    const names = async (run: Run, lun: number) => {
      const { data } = await run([0x12, 1, 0x83, 1, 0, 0], { read: 256, lun });
      const found: string[] = [];
      for (let at = 4; at < data.length; at += 4 + data[at + 3]) {
        if ((data[at + 1] & 0x30) === 0)
          found.push(Buffer.from(data.subarray(at, at + 4 + data[at + 3])).toString("hex"));
      }
      return [...found, ascii((await run([0x12, 1, 0x80, 0, 255, 0], { read: 255, lun })).data)];
    };
    const [one, two] = [
      await host(device, { target: { luns } }),
      await host(device, { target: { luns }, portalGroupTag: 9 }),
    ];
    expect(await names(one.run, 0)).toHaveLength(3);
    for (const lun of [0, 1]) expect(await names(one.run, lun)).toEqual(await names(two.run, lun));
    const [zero, first] = [await names(one.run, 0), await names(one.run, 1)];
    expect(zero.filter((name) => first.includes(name))).toEqual([]);
  });

  test("a LUN without a unit: INQUIRY and REPORT LUNS answer, the rest is refused", async () => {
    const { run } = await host();
    const inquiry = await run([0x12, 0, 0, 0, 36, 0], { read: 36, lun: 5 });
    expect([inquiry.status, inquiry.data[0]]).toEqual([0, 0x7f]);
    expect(ascii(inquiry.data.subarray(8, 16)).trim()).not.toBe("");
    const luns = await run([0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0], { read: 255, lun: 5 });
    expect([...luns.data]).toEqual([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect((await run(read10(0, 1), { read: 512, lun: 5 })).sense).toBe("5/25/0");
    expect((await run([0, 0, 0, 0, 0, 0], { lun: 0x2000 })).sense).toBe("5/25/0");
  });

  test("REQUEST SENSE reports in both formats", async () => {
    const { run } = await host();
    expect([...(await run([3, 0, 0, 0, 255, 0], { read: 255 })).data.subarray(0, 3)]).toEqual([0x70, 0, 0]);
    expect([...(await run([3, 1, 0, 0, 255, 0], { read: 255 })).data]).toEqual([0x72, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("MODE SENSE has no write cache; MODE SELECT sets D_SENSE and SWP, and tells others", async () => {
    const { run, world } = await host();
    const six = (await run([0x1a, 0, 0x3f, 0, 255, 0], { read: 255 })).data;
    expect(six.length).toBe(six[0] + 1);
    const caching = (await run([0x1a, 8, 0x08, 0, 255, 0], { read: 255 })).data;
    expect([caching[4], caching[6] & 0x04]).toEqual([0x08, 0]);
    expect((await run([0x1a, 0, 0x33, 0, 255, 0], { read: 255 })).sense).toBe("5/24/0");
    expect((await run([0x1a, 0, 0xca, 0, 255, 0], { read: 255 })).sense).toBe("5/39/0");

    const other = await another(world);
    const control = (await run([0x1a, 8, 0x0a, 0, 255, 0], { read: 255 })).data.slice(4);
    control[2] |= 0x04;
    control[4] |= 0x08;
    const list = new Uint8Array([0, 0, 0, 0, ...control]);
    expect((await run([0x15, 0x10, 0, 0, list.length, 0], { write: list.length, data: list })).status).toBe(0);
    const refused = await run(write10(0, 1), { write: 512, data: pattern(512) });
    expect([refused.data[0], refused.sense]).toEqual([0x72, "7/27/0"]);
    const ready = [0, 0, 0, 0, 0, 0];
    expect([(await other.run(ready)).sense, (await other.run(ready)).sense]).toEqual(["6/2a/1", ""]);
    control[3] ^= 1;
    const bad = new Uint8Array([0, 0, 0, 0, ...control]);
    expect((await run([0x15, 0x10, 0, 0, bad.length, 0], { write: bad.length, data: bad })).sense).toBe("5/26/0");
  });

  test("REPORT SUPPORTED OPERATION CODES agrees with what is done", async () => {
    const { run } = await host();
    const all = (await run([0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0], { read: 65535 })).data;
    const view = new DataView(all.buffer);
    expect(view.getUint32(0)).toBe(all.length - 4);
    const supported = new Set<number>();
    for (let at = 4; at < all.length; at += 8) supported.add(all[at]);
    for (let opcode = 0; opcode < 256; opcode++) {
      const cdb = [opcode, ...new Array<number>(15).fill(0)];
      const { sense } = await run(cdb, { read: 512 });
      expect(sense === "5/20/0", `opcode ${opcode.toString(16)}`).toBe(!supported.has(opcode));
    }
    const one = (await run([0xa3, 0x0c, 1, 0x7f, 0, 0, 0, 0, 0, 255, 0, 0], { read: 255 })).data;
    expect(one[1] & 7).toBe(1);
  });

  test.each([0x7f, 0x85])("opcode %i is refused as such", async (opcode) => {
    const { run } = await host();
    expect((await run([opcode, 0, 0, 0, 0, 0])).sense).toBe("5/20/0");
  });
});

describe("SBC", () => {
  test("READ CAPACITY, 512 and 4096", async () => {
    for (const [blockSize, exponent] of [
      [512, 3],
      [4096, 0],
    ]) {
      const { run } = await host(new RamDevice(1000, blockSize));
      const ten = new DataView((await run([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], { read: 8 })).data.buffer);
      expect([ten.getUint32(0), ten.getUint32(4)]).toEqual([999, blockSize]);
      const sixteen = (await run([0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], { read: 32 })).data;
      expect([new DataView(sixteen.buffer).getUint32(4), sixteen[13] & 15, sixteen[14]]).toEqual([999, exponent, 0xc0]);
    }
  });

  test("every READ and WRITE reaches its blocks", async () => {
    const { run, device } = await host();
    const data = pattern(1024);
    const forms: [number[], number[]][] = [
      [
        [0x0a, 0, 0, 7, 2, 0],
        [0x08, 0, 0, 7, 2, 0],
      ],
      [[...write10(9, 2)], [...read10(9, 2)]],
      [
        [0xaa, 8, 0, 0, 0, 11, 0, 0, 0, 2, 0, 0],
        [0xa8, 0, 0, 0, 0, 11, 0, 0, 0, 2, 0, 0],
      ],
      [cdb16(0x8a, 13, 2, 8), cdb16(0x88, 13, 2)],
    ];
    for (const [write, read] of forms) {
      expect((await run(write, { write: 1024, data })).status).toBe(0);
      expect(same((await run(read, { read: 1024 })).data, data)).toBe(true);
    }
    expect(device.calls.filter((call) => call.startsWith("write"))).toEqual([
      "write 7+2",
      "write 9+2",
      "write 11+2 fua",
      "write 13+2 fua",
    ]);
  });

  test.each([
    ["READ 10 past the end", read10(4095, 2), "5/21/0"],
    ["READ 16 at 2^63", cdb16(0x88, 2 ** 63, 1), "5/21/0"],
    ["no blocks just past the end", read10(4097, 0), "5/21/0"],
    ["RDPROTECT", [0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0], "5/24/0"],
    ["NACA", [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0x04], "5/24/0"],
    ["BYTCHK 10b", [0x2f, 0x04, 0, 0, 0, 0, 0, 0, 1, 0], "5/24/0"],
    ["an unknown service action", [0x9e, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "5/24/0"],
    ["WRITE SAME to the end from behind it", [0x41, 0, 0, 0, 0x10, 0, 0, 0, 0, 0], "5/21/0"],
    ["WRITE SAME to the end from where there is nothing", cdb16(0x93, 2 ** 63, 0), "5/21/0"],
    ["WRITE SAME without its block", [0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0], "5/24/0"],
    ["UNMAP with ANCHOR", [0x42, 1, 0, 0, 0, 0, 0, 0, 24, 0], "5/24/0"],
  ])("%s", async (_, cdb, sense) => {
    const { run } = await host();
    expect(await run(cdb)).toMatchObject({ status: 2, sense });
  });

  test("a transfer of more than 8 MiB is refused", async () => {
    const { run } = await host(new RamDevice(20000));
    expect((await run(cdb16(0x88, 0, 16385), { read: 16385 * 512 })).sense).toBe("5/24/0");
  });

  test("VERIFY compares, and says where it differs", async () => {
    const { run, device } = await host();
    device.bytes.set(pattern(1024));
    const verify = (flags: number) => [0x2f, flags, 0, 0, 0, 0, 0, 0, 2, 0];
    expect((await run(verify(2), { write: 1024, data: pattern(1024) })).status).toBe(0);
    const changed = pattern(1024);
    changed[700] ^= 1;
    const outcome = await run(verify(2), { write: 1024, data: changed });
    expect([outcome.sense, new DataView(outcome.data.buffer, outcome.data.byteOffset).getUint32(3)]).toEqual([
      "e/1d/0",
      700,
    ]);
    expect((await run(verify(0))).status).toBe(0);
  });

  test("WRITE SAME writes in pieces, unmaps zeros, and takes no data with NDOB", async () => {
    const { run, device } = await host();
    const block = pattern(512, 9);
    expect((await run(cdb16(0x93, 1, 3000), { write: 512, data: block })).status).toBe(0);
    expect(same(device.bytes.subarray(3000 * 512, 3001 * 512), block)).toBe(true);
    expect(same(device.bytes.subarray(3001 * 512, 3002 * 512), new Uint8Array(512))).toBe(true);
    expect(device.calls.filter((call) => call.startsWith("write"))).toEqual(["write 1+2048", "write 2049+952"]);
    expect((await run(cdb16(0x93, 1, 8, 0x08), { write: 512, data: new Uint8Array(512) })).status).toBe(0);
    expect(device.calls.at(-1)).toBe("unmap 1+8");
    expect((await run(cdb16(0x93, 20, 2, 0x01))).status).toBe(0);
    expect(same(device.bytes.subarray(20 * 512, 22 * 512), new Uint8Array(1024))).toBe(true);
    expect((await run(cdb16(0x93, 20, 2), { write: 1024, data: pattern(1024) })).sense).toBe("5/24/0");
  });

  test("WRITE SAME of 0 blocks is to the end, as far as MAXIMUM WRITE SAME LENGTH goes", async () => {
    const blocks = WRITE_SAME_BYTES_MAX / 512 + 16;
    const { run, device } = await host(new RamDevice(blocks));
    const limits = (await run([0x12, 1, 0xb0, 0, 64, 0], { read: 64 })).data;
    expect([limits[4], new DataView(limits.buffer, limits.byteOffset).getUint32(40)]).toEqual([0, blocks - 16]);
    const block = pattern(512, 9);
    for (const cdb of [cdb16(0x93, 15, 0), [0x41, 0, 0, 0, 0, 15, 0, 0, 0, 0]]) {
      expect((await run(cdb, { write: 512, data: block })).sense).toBe("5/24/0");
    }
    expect(device.calls).toEqual([]);
    expect((await run(cdb16(0x93, 16, 0), { write: 512, data: block })).status).toBe(0);
    expect(device.bytes.subarray(0, 16 * 512).every((byte) => byte === 0)).toBe(true);
    for (const at of [16, blocks - 1]) expect(same(device.bytes.subarray(at * 512, (at + 1) * 512), block)).toBe(true);
    const last = [0x41, 0, ...[24, 16, 8, 0].map((shift) => ((blocks - 2) >>> shift) & 255), 0, 0, 0, 0];
    expect((await run(last, { write: 512, data: pattern(512, 3) })).status).toBe(0);
    expect(device.calls.at(-1)).toBe(`write ${blocks - 2}+2`);
  });

  test("UNMAP takes extents and checks each before any", async () => {
    const { run, device } = await host();
    const list = new Uint8Array(8 + 32);
    const view = new DataView(list.buffer);
    view.setUint16(0, 38);
    view.setUint16(2, 32);
    view.setUint32(12, 5);
    view.setUint32(16, 3);
    view.setUint32(28, 4000);
    view.setUint32(32, 97);
    const unmap = [0x42, 0, 0, 0, 0, 0, 0, 0, list.length, 0];
    expect((await run(unmap, { write: list.length, data: list })).sense).toBe("5/21/0");
    expect(device.calls).toEqual([]);
    view.setUint32(32, 96);
    expect((await run(unmap, { write: list.length, data: list })).status).toBe(0);
    expect(device.calls).toEqual(["unmap 5+3", "unmap 4000+96"]);
  });

  test("COMPARE AND WRITE excludes other writes while it compares", async () => {
    const { run, device, initiator, world } = await host();
    const caw = cdb16(0x89, 3, 1 << 0).map((byte, at) => (at === 13 ? 1 : at >= 10 && at < 14 ? 0 : byte));
    const fresh = pattern(512, 3);
    const both = new Uint8Array(1024);
    both.set(fresh, 512);
    expect((await run(caw, { write: 1024, data: both })).status).toBe(0);
    expect(same(device.bytes.subarray(3 * 512, 4 * 512), fresh)).toBe(true);
    expect((await run(caw, { write: 1024, data: both })).sense).toBe("e/1d/0");
    device.held = true;
    const again = new Uint8Array(1024);
    again.set(fresh);
    await initiator.send(
      initiator.command(caw, { write: 1024, data: again }),
      initiator.command(write10(3, 1), { write: 512, data: pattern(512, 5) }),
    );
    expect(device.gates.map((gate) => gate.kind)).toEqual(["read"]);
    while (device.gates.length > 0) {
      device.gates.shift()?.open();
      await world.timers.turn();
    }
    expect(initiator.receive().map((pdu) => pdu.header.getUint8(3))).toEqual([0, 0]);
    expect(device.calls.slice(-3)).toEqual(["read 3+1", "write 3+1", "write 3+1"]);
    expect(same(device.bytes.subarray(3 * 512, 4 * 512), pattern(512, 5))).toBe(true);
  });
});

describe("errors of the device", () => {
  const failure = Object.assign(new Error("gone"), { code: "drive.failed" });

  test("by default the medium is blamed, or the target where there is no code", async () => {
    const { run, device, world } = await host();
    device.failure = failure;
    expect((await run(read10(0, 1), { read: 512 })).sense).toBe("3/11/0");
    expect((await run(write10(0, 1), { write: 512, data: pattern(512) })).sense).toBe("3/c/0");
    expect((await run(cdb16(0x93, 0, 1), { write: 512, data: pattern(512) })).sense).toBe("3/c/0");
    device.failure = new Error("bug");
    expect((await run(read10(0, 1), { read: 512 })).sense).toBe("4/44/0");
    expect(world.server.counters().deviceErrors).toBe(4);
  });

  test("the host decides otherwise", async () => {
    const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };
    const device = new RamDevice(64);
    let answer: typeof Senses.NotReady | "BUSY" = "BUSY";
    const { run } = await host(device, { target: { luns: [{ lun: 0, device, identity }], senseFor: () => answer } });
    device.failure = failure;
    expect((await run(read10(0, 1), { read: 512 })).status).toBe(0x08);
    answer = Senses.NotReady;
    expect((await run(read10(0, 1), { read: 512 })).sense).toBe("2/4/0");
  });

  test("a read-only LUN refuses every way to write", async () => {
    const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };
    const device = new RamDevice(64);
    const { run } = await host(device, { target: { luns: [{ lun: 0, device, identity, readOnly: true }] } });
    for (const cdb of [write10(0, 1), cdb16(0x93, 0, 1), cdb16(0x89, 0, 1), [0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0]]) {
      expect((await run(cdb, { write: 512, data: pattern(512) })).sense).toBe("7/27/0");
    }
    expect((await run([0x1a, 0, 0x3f, 0, 255, 0], { read: 255 })).data[2] & 0x80).toBe(0x80);
  });

  test("a resize is told to each nexus once", async () => {
    const { run, world, device } = await host(new RamDevice(64));
    const other = await another(world);
    const last = async (of: Run) => {
      const { sense, data } = await of([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], { read: 8 });
      return sense === "" ? new DataView(data.buffer, data.byteOffset).getUint32(0) : sense;
    };
    device.blockCount = 128;
    expect(await last(run)).toBe(63);
    world.target.resized(0);
    world.target.resized(0);
    expect([await last(run), await last(run)]).toEqual(["6/2a/9", 127]);
    expect([await last(other.run), await last(other.run)]).toEqual(["6/2a/9", 127]);
  });
});

test("sense in both formats", () => {
  const sense = { ...Senses.Miscompare, information: 5, field: { inCdb: true, byte: 3 } };
  expect([...formatSense(sense, false)]).toEqual([0xf0, 0, 0x0e, 0, 0, 0, 5, 10, 0, 0, 0, 0, 0x1d, 0, 0, 0xc0, 0, 3]);
  expect([...formatSense(sense, true)]).toEqual([
    0x72, 0x0e, 0x1d, 0, 0, 0, 0, 20, 0, 10, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 6, 0, 0, 0xc0, 0, 3, 0,
  ]);
});
