import { describe, expect, test } from "vitest";
import { write10 } from "../testing/initiator.ts";
import { another, host } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";

const sense6 = (page: number, subpage = 0, flags = 0x08) => [0x1a, flags, page, subpage, 255, 0];
const sense10 = (page: number, subpage = 0, flags = 0x08) => [0x5a, flags, page, subpage, 0, 0, 0, 2, 0, 0];
const select6 = (length: number, flags = 0x10) => [0x15, flags, 0, 0, length, 0];
const select10 = (length: number, flags = 0x10) => [0x55, flags, 0, 0, 0, 0, 0, length >> 8, length & 255, 0];
const CHANGEABLE = 0x40;
const DEFAULT = 0x80;

/** `page/subpage:length` of each. */
function pagesOf(data: Uint8Array, from: number): string[] {
  const found: string[] = [];
  for (let at = from; at < data.length; ) {
    const long = (data[at] & 0x40) !== 0;
    const length = long ? (data[at + 2] << 8) | data[at + 3] : data[at + 1];
    found.push(`${(data[at] & 0x3f).toString(16)}/${long ? data[at + 1] : 0}:${length}`);
    at += (long ? 4 : 2) + length;
  }
  return found;
}

describe("MODE SENSE", () => {
  const plain = ["1/0:10", "7/0:10", "8/0:18", "a/0:10", "1c/0:10"];

  test("all pages, with subpages and without", async () => {
    const { run } = await host();
    expect(pagesOf((await run(sense6(0x3f), { read: 255 })).data, 4)).toEqual(plain);
    const all = [...plain.slice(0, 4), "a/1:28", "1c/0:10"];
    expect(pagesOf((await run(sense6(0x3f, 0xff), { read: 255 })).data, 4)).toEqual(all);
    const ten = (await run(sense10(0x3f, 0xff), { read: 512 })).data;
    expect(pagesOf(ten, 8)).toEqual(all);
    expect((ten[0] << 8) | ten[1]).toBe(ten.length - 2);
    expect(pagesOf((await run(sense10(0x0a, 0xff), { read: 512 })).data, 8)).toEqual(["a/0:10", "a/1:28"]);
    expect(pagesOf((await run(sense10(0x0a, 0x01), { read: 512 })).data, 8)).toEqual(["a/1:28"]);
  });

  test("only D_SENSE and SWP can be changed; defaults are there, saved values are not", async () => {
    const { run } = await host();
    const mask = (await run(sense6(CHANGEABLE | 0x3f, 0xff), { read: 255 })).data;
    const set = [...mask.subarray(4)].filter((byte, at, all) => byte !== 0 && isValue(all, at));
    expect(set).toEqual([0x04, 0x08]);
    const now = (await run(sense6(0x3f, 0xff), { read: 255 })).data;
    expect((await run(sense6(DEFAULT | 0x3f, 0xff), { read: 255 })).data).toEqual(now);
    expect((await run(sense6(0xff), { read: 255 })).sense).toBe("5/39/0");
  });

  /** Whether a byte of a list of pages is none of a page's header. */
  function isValue(bytes: readonly number[], wanted: number): boolean {
    for (let at = 0; at < bytes.length; ) {
      const header = (bytes[at] & 0x40) !== 0 ? 4 : 2;
      const length = header === 4 ? (bytes[at + 2] << 8) | bytes[at + 3] : bytes[at + 1];
      if (wanted < at + header + length) return wanted >= at + header;
      at += header + length;
    }
    return false;
  }

  test.each([
    ["no such page", sense6(0x05)],
    ["no such subpage", sense6(0x08, 1)],
    ["no page has this subpage", sense6(0x3f, 2)],
  ])("%s", async (_, cdb) => {
    const { run } = await host();
    expect((await run(cdb, { read: 255 })).sense).toBe("5/24/0");
  });
});

describe("MODE SELECT", () => {
  test("takes all pages back as they are, with their block descriptor, in both forms", async () => {
    const { run } = await host();
    for (const [sense, select, at] of [
      [sense6(0x3f, 0xff, 0), select6, 0],
      [sense10(0x3f, 0xff, 0), select10, 0],
      [sense10(0x3f, 0xff, 0x10), select10, 4],
    ] as const) {
      const data = (await run(sense, { read: 512 })).data.slice();
      // MODE DATA LENGTH is reserved here.
      data[0] = 0;
      expect(at === 4 ? data[4] : 0).toBe(at === 4 ? 1 : 0);
      expect((await run(select(data.length), { write: data.length, data })).status).toBe(0);
    }
  });

  test("changes nothing where anything in the list is wrong", async () => {
    const { run } = await host();
    const control = (await run(sense6(0x0a), { read: 255 })).data.slice(4);
    control[2] |= 0x04;
    const caching = (await run(sense6(0x08), { read: 255 })).data.slice(4);
    caching[2] |= 0x04; // WCE
    const data = new Uint8Array([0, 0, 0, 0, ...control, ...caching]);
    const refused = await run(select6(data.length), { write: data.length, data });
    expect(refused.sense).toBe("5/26/0");
    // The field pointer is at WCE.
    expect([refused.data[15], refused.data[17]]).toEqual([0x80, 4 + 12 + 2]);
    expect((await run(sense6(0x0a), { read: 255 })).data[4 + 2] & 0x04).toBe(0);
  });

  test.each([
    ["LOGICAL UNIT RESET", 5],
    ["TARGET WARM RESET", 6],
  ])("is undone by a %s; default values are what they were", async (_, code) => {
    const { run, initiator } = await host();
    const valuesOf = async (which: number) => {
      const { data } = await run(sense6(which | 0x0a), { read: 255 });
      return [data[4 + 2] & 0x04, data[4 + 4] & 0x08];
    };
    const page = (await run(sense6(0x0a), { read: 255 })).data.slice(4);
    page[2] |= 0x04;
    page[4] |= 0x08;
    const data = new Uint8Array([0, 0, 0, 0, ...page]);
    expect((await run(select6(data.length), { write: data.length, data })).status).toBe(0);
    expect([await valuesOf(0), await valuesOf(DEFAULT)]).toEqual([
      [4, 8],
      [0, 0],
    ]);
    await initiator.send(initiator.management(code));
    initiator.receive();
    expect((await run([0, 0, 0, 0, 0, 0])).sense).toBe("6/29/3");
    expect(await valuesOf(0)).toEqual([0, 0]);
    expect((await run(write10(0, 1), { write: 512, data: new Uint8Array(512) })).status).toBe(0);
  });

  test.each([
    ["another block size", [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0x10, 0], "5/26/0"],
    ["another number of blocks", [0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 2, 0], "5/26/0"],
    ["half a block descriptor", [0, 0, 0, 4, 0, 0, 0, 0], "5/26/0"],
    ["a block descriptor that is not there", [0, 0, 0, 8, 0, 0, 0, 0], "5/1a/0"],
    ["no such page", [0, 0, 0, 0, 0x05, 0], "5/26/0"],
    ["a page of another length", [0, 0, 0, 0, 0x08, 2, 0, 0], "5/26/0"],
    ["half a page", [0, 0, 0, 0, 0x08, 18, 0], "5/1a/0"],
    ["half a page's header", [0, 0, 0, 0, 0x4a, 1, 0], "5/1a/0"],
    ["half a header", [0, 0], "5/1a/0"],
  ])("%s", async (_, list, sense) => {
    const { run } = await host(new RamDevice(64));
    const data = new Uint8Array(list);
    expect((await run(select6(data.length), { write: data.length, data })).sense).toBe(sense);
  });

  test("the block descriptor may leave the number of blocks as it is", async () => {
    const { run, world } = await host(new RamDevice(64));
    const other = await another(world);
    const data = new Uint8Array([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0]);
    expect((await run(select6(data.length), { write: data.length, data })).status).toBe(0);
    expect((await other.run([0, 0, 0, 0, 0, 0])).sense).toBe("6/2a/1");
  });

  test("nothing can be saved", async () => {
    const { run } = await host();
    const data = new Uint8Array(4);
    expect((await run(select6(4, 0x11), { write: 4, data })).sense).toBe("5/24/0");
    expect((await run(select6(4, 0x00), { write: 4, data })).sense).toBe("5/24/0");
  });
});
