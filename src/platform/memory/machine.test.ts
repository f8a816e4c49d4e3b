import { expect, test } from "vitest";
import { BLOCK_BYTES, lba } from "../../base/units.ts";
import { block, PATH, setUp } from "./drive-fixture.ts";

test("a drive moves within its machine and to another one, with what is on it", async () => {
  const { universe, machine, media, drive, open, read } = await setUp(1);
  const other = universe.addDrive("boulder", "/dev/x", 16 * BLOCK_BYTES);
  const boulder = universe.machine("boulder");
  const foreign = await universe.result(boulder.world.drives.open("/dev/x", "read-write"));
  await universe.result(drive.write(lba(0), block(1), { fua: true }));
  await universe.result(foreign.write(lba(0), block(2), { fua: true }));
  machine.removeDrive(PATH);
  boulder.removeDrive("/dev/x");
  await expect(open()).rejects.toMatchObject({ code: "drive.missing" });
  await expect(read(0)).rejects.toThrow("ENODEV");
  machine.insertDrive("/dev/b", other);
  boulder.insertDrive("/dev/y", media);
  expect([other.machine, other.path, media.machine, media.path]).toEqual(["denver", "/dev/b", "boulder", "/dev/y"]);
  expect(machine.drive("/dev/b")).toBe(other);
  expect(() => machine.drive(PATH)).toThrow("no drive");
  // a handle opened before stays dead, and says what it was
  await expect(read(0)).rejects.toThrow(`${PATH} was pulled out`);
  expect(drive.path).toBe(PATH);
  expect(await read(0, 1, await open("/dev/b"))).toEqual([2]);
  const moved = await universe.result(boulder.world.drives.open("/dev/y", "read-write"));
  expect([moved.path, moved.blockCount]).toEqual(["/dev/y", media.blockCount]);
  expect(await read(0, 1, moved)).toEqual([1]);
});

test("two drives change places", async () => {
  const { universe, machine, media, open, read } = await setUp(1);
  const other = universe.addDrive("denver", "/dev/b", media.blockCount * BLOCK_BYTES);
  media.overwrite(0, block(1));
  other.overwrite(0, block(2));
  const [first, second] = [machine.removeDrive(PATH), machine.removeDrive("/dev/b")];
  machine.insertDrive(PATH, second);
  machine.insertDrive("/dev/b", first);
  expect(await read(0, 1, await open(PATH))).toEqual([2]);
  expect(await read(0, 1, await open("/dev/b"))).toEqual([1]);
});

test("what happens to a machine happens to the drives that are in it then", async () => {
  const { universe, machine, media } = await setUp(1);
  const boulder = universe.machine("boulder");
  machine.removeDrive(PATH);
  boulder.insertDrive(PATH, media);
  media.configure({ cache: "battery" });
  machine.battery.fail();
  const opened = await universe.result(boulder.world.drives.open(PATH, "read-write"));
  await universe.result(opened.write(lba(0), block(1)));
  machine.crash();
  expect(await universe.result(opened.write(lba(1), block(1)))).toBe(undefined);
  media.onWrite = () => "crash-after";
  void opened.write(lba(2), block(3));
  expect(boulder.state).toBe("down");
  expect(media.contents(0, 3)[0]).toBe(1);
  expect(media.contents(2, 1)[0]).toBe(3);
});

test("a drive is replaced by a blank one of any size", async () => {
  const { universe, machine, media, drive, open, read } = await setUp(1);
  await universe.result(drive.write(lba(0), block(1), { fua: true }));
  const smaller = machine.replaceDrive(PATH, 8 * BLOCK_BYTES, { cache: "none" });
  expect(media.present).toBe(false);
  const opened = await open();
  expect(opened.blockCount).toBe(8);
  expect(await read(0, 8, opened)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  await universe.result(opened.write(lba(0), block(2)));
  expect(smaller.unflushedBlocks).toBe(0);
  // the old one can come back, and another new one can take the place of none
  machine.removeDrive(PATH);
  machine.replaceDrive(PATH, 16 * BLOCK_BYTES);
  machine.insertDrive("/dev/b", media);
  expect(await read(0, 1, await open("/dev/b"))).toEqual([1]);
});

test("new drives under one path have numbers of their own", async () => {
  const { machine, media } = await setUp(1);
  const bits = () =>
    machine
      .drive(PATH)
      .contents(0, 1)
      .findIndex((byte) => byte !== 0);
  media.flipBit(0);
  const first = bits();
  machine.replaceDrive(PATH, 8 * BLOCK_BYTES).flipBit(0);
  expect(bits()).not.toBe(first);
});

test("a drive is in one place at a time", async () => {
  const { universe, machine, media } = await setUp(1);
  const boulder = universe.machine("boulder");
  expect(() => boulder.insertDrive(PATH, media)).toThrow("still in machine denver");
  media.vanish();
  expect(() => boulder.insertDrive(PATH, media)).toThrow("still in machine denver");
  machine.removeDrive(PATH);
  expect(() => media.reappear()).toThrow("insert it");
  boulder.insertDrive(PATH, media);
  expect(() => boulder.insertDrive(PATH, media)).toThrow("has a drive");
  expect(() => machine.removeDrive(PATH)).toThrow("no drive");
});
