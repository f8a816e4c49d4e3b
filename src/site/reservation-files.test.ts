import { beforeEach, describe, expect, it } from "vitest";
import { volumeId } from "../base/units.ts";
import type { KeptReservations } from "../iscsi/index.ts";
import { MemoryFiles } from "../platform/memory/memory-files.ts";
import { openReservations } from "./reservation-files.ts";

const PATH = "/state/prod-lun-0.json";
const KEPT: KeptReservations = {
  registrations: [
    { nexus: "iqn.1993-08.org.debian:01:db1,i,0x00023d000000,t,0x0001", key: 0xfedcba9876543210n },
    { nexus: 'iqn.2026-11.example:"odd"\\é,i,0x00023d000001,t,0x0001', key: 1n },
  ],
  reservation: { type: 5, holder: "iqn.1993-08.org.debian:01:db1,i,0x00023d000000,t,0x0001" },
};
/** As format 1 was first written; every later release reads it. */
const WRITTEN =
  '{"format":1,"registrations":[{"port":"iqn.2026-11.example:a,i,0x000000000001","key":"1f"}],"reservation":{"type":7}}\n';

describe("reservations in files", () => {
  let files: MemoryFiles;
  const open = async () => {
    const stores = await openReservations(files, "/state", "prod", [volumeId(0), volumeId(3)]);
    const store = stores.get(volumeId(0));
    if (store === undefined) throw new Error("no store");
    return store;
  };

  beforeEach(() => {
    files = new MemoryFiles();
  });

  it("are there again after a restart, each volume's own, and gone when nothing is kept", async () => {
    expect((await open()).kept).toBeUndefined();
    await (await open()).save(KEPT);
    expect((await open()).kept).toEqual(KEPT);
    expect(await files.list("/state")).toEqual(["prod-lun-0.json"]);
    const { registrations } = KEPT;
    await (await open()).save({ registrations, reservation: { type: 8, holder: undefined } });
    expect((await open()).kept).toEqual({ registrations, reservation: { type: 8, holder: undefined } });
    await (await open()).save({ registrations, reservation: undefined });
    expect((await open()).kept).toEqual({ registrations, reservation: undefined });
    await (await open()).save(undefined);
    expect(await files.list("/state")).toEqual([]);
  });

  it("are read as format 1 was written", async () => {
    await (await open()).save({
      registrations: [{ nexus: "iqn.2026-11.example:a,i,0x000000000001,t,0x0001", key: 0x1fn }],
      reservation: { type: 7, holder: undefined },
    });
    const text = new TextDecoder().decode(await files.read(PATH));
    expect(text).toBe(`${WRITTEN}35a81b52\n`);
  });

  it.each([
    ["a byte that changed", (text: string) => text.replace('"type":5', '"type":6')],
    ["an end that is missing", (text: string) => text.slice(0, -3)],
    ["nothing", () => ""],
    ["more than there should be", (text: string) => `${text}more\n`],
  ])("stop the site where the file is damaged: %s", async (_, damage) => {
    await (await open()).save(KEPT);
    const text = new TextDecoder().decode(await files.read(PATH));
    await files.replace(PATH, new TextEncoder().encode(damage(text)));
    await expect(open()).rejects.toMatchObject({ code: "site.reservations-damaged" });
  });
});
