import { describe, expect, test } from "vitest";
import { read10, TARGET } from "../testing/initiator.ts";
import { host } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";

const lun = 0xc101;
const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const reportLuns = (select: number) => [0xa0, 0, select, 0, 0, 0, 0, 0, 0, 255, 0, 0];
const page = (code: number) => [0x12, 1, code, 0, 255, 0];
const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };

async function units(...numbers: readonly number[]) {
  const device = new RamDevice(64);
  return host(device, { target: { luns: numbers.map((number) => ({ lun: number, device, identity })) } });
}

/** The first two bytes of each LUN. */
function lunsOf(data: Uint8Array): string[] {
  const view = new DataView(data.buffer, data.byteOffset);
  expect(view.getUint32(0)).toBe(data.length - 8);
  return Array.from({ length: (data.length - 8) / 8 }, (_, at) => view.getUint16(8 + 8 * at).toString(16));
}

describe("the REPORT LUNS well-known unit", () => {
  test("INQUIRY, TEST UNIT READY and REQUEST SENSE", async () => {
    const { run } = await units(0);
    const standard = (await run([0x12, 0, 0, 0, 255, 0], { read: 255, lun })).data;
    expect([standard[0], standard[2], standard[4]]).toEqual([0x1e, 6, standard.length - 5]);
    expect((await run(TEST_UNIT_READY, { lun })).sense).toBe("6/29/0");
    expect((await run(TEST_UNIT_READY, { lun })).status).toBe(0);
    expect([...(await run([3, 1, 0, 0, 255, 0], { read: 255, lun })).data]).toEqual([0x72, 0, 0, 0, 0, 0, 0, 0]);
    expect([...(await run(page(0), { read: 255, lun })).data]).toEqual([0x1e, 0, 0, 2, 0, 0x83]);
    const identification = (await run(page(0x83), { read: 255, lun })).data;
    expect([identification[0], identification[3]]).toEqual([0x1e, identification.length - 4]);
    expect(new TextDecoder().decode(identification)).toContain(`${TARGET},t,0x0001`);
  });

  test.each([0, lun])("REPORT LUNS of each kind of unit, at LUN %i", async (at) => {
    const { run } = await units(0, 3, 300);
    expect(lunsOf((await run(reportLuns(0), { read: 255, lun: at })).data)).toEqual(["0", "3", "412c"]);
    expect(lunsOf((await run(reportLuns(1), { read: 255, lun: at })).data)).toEqual(["c101"]);
    expect(lunsOf((await run(reportLuns(2), { read: 255, lun: at })).data)).toEqual(["0", "3", "412c", "c101"]);
    expect((await run(reportLuns(3), { read: 255, lun: at })).sense).toBe("5/24/0");
  });

  test("it is there where no other unit is, and learns that one comes", async () => {
    const { run, world, device } = await units();
    await run(TEST_UNIT_READY, { lun });
    expect(lunsOf((await run(reportLuns(0), { read: 255, lun })).data)).toEqual([]);
    world.target.addLun({ lun: 5, device, identity });
    expect((await run(TEST_UNIT_READY, { lun })).sense).toBe("6/3f/e");
    expect((await run(TEST_UNIT_READY, { lun })).status).toBe(0);
    expect(lunsOf((await run(reportLuns(0), { read: 255, lun })).data)).toEqual(["5"]);
  });

  test.each([
    ["TEST UNIT READY", lun, TEST_UNIT_READY],
    ["REQUEST SENSE", lun, [3, 0, 0, 0, 255, 0]],
    ["REQUEST SENSE", 0, [3, 0, 0, 0, 255, 0]],
  ])("that LUNs have changed is told for all of them by %s at LUN %i", async (_, at, cdb) => {
    const { run, world, device } = await units(0);
    for (const each of [0, lun]) await run(TEST_UNIT_READY, { lun: each });
    world.target.addLun({ lun: 5, device, identity });
    const { data } = await run(cdb, { read: 255, lun: at });
    expect([data[2] & 0x0f, data[12], data[13]]).toEqual([6, 0x3f, 0x0e]);
    for (const each of [0, lun]) expect((await run(TEST_UNIT_READY, { lun: each })).status).toBe(0);
  });

  test.each([
    ["READ", read10(0, 1), "5/20/0"],
    ["MODE SENSE", [0x1a, 0, 0x3f, 0, 255, 0], "5/20/0"],
    ["another VPD page", page(0x80), "5/24/0"],
    ["a page of standard data", [0x12, 0, 1, 0, 255, 0], "5/24/0"],
    ["NACA", [0, 0, 0, 0, 0, 4], "5/24/0"],
  ])("%s is refused", async (_, cdb, sense) => {
    const { run } = await units(0);
    expect((await run(cdb, { read: 512, lun })).sense).toBe(sense);
  });

  test("no other well-known unit is there", async () => {
    const { run } = await units(0);
    for (const other of [0xc102, 0xc100, 0xc001]) {
      expect((await run([0x12, 0, 0, 0, 255, 0], { read: 255, lun: other })).data[0]).toBe(0x7f);
    }
  });
});
