import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { BLOCK_BYTES, byteCount, lba, millis, TiB } from "../../base/units.ts";
import { type DriveFileFixture, type DriveFixture, driveCases, driveFileCases } from "../drive.cases.ts";
import { linuxClock } from "./linux-clock.ts";
import { type LinuxDrives, type LinuxDrivesOptions, linuxDrives } from "./linux-drives.ts";
import { linuxMemory } from "./linux-memory.ts";

const clock = linuxClock();
const memory = linuxMemory();
const lockPatience = millis(30);

/** The ways that drives can work here; where the kernel refuses the ring, what it says is a failure of the case below. */
const ways: readonly (readonly [string, LinuxDrivesOptions])[] = [
  ["io_uring", { lockPatience }],
  ["io_uring through the page cache", { lockPatience, direct: false }],
  ["threads", { lockPatience, uring: false }],
  ["threads through the page cache", { lockPatience, uring: false, direct: false }],
];

for (const [name, options] of ways) {
  const onFiles = async (): Promise<DriveFileFixture> => {
    const directory = mkdtempSync(join(tmpdir(), "drive-"));
    const drives = linuxDrives(clock, memory, options);
    let made = 0;
    const vacantPath = () => join(directory, `drive-${made++}`);
    return {
      world: { drives, memory },
      vacantPath,
      async drive(blocks) {
        const path = vacantPath();
        await drives.create(path, byteCount(blocks * BLOCK_BYTES));
        return path;
      },
      dispose: async () => rmSync(directory, { recursive: true }),
    };
  };
  driveCases(`${name}, files`, onFiles);
  driveFileCases(name, onFiles);
}

/** A block device over a file, or undefined where this user or this kernel makes none. */
function attachLoop(file: string, ...options: string[]): string | undefined {
  const attached = spawnSync("losetup", [...options, "--find", "--show", file], { encoding: "utf8" });
  return attached.status === 0 ? attached.stdout.trim() : undefined;
}
/** Cache flushes that a block device has done so far: the 16th number of its statistics. */
const flushesOf = (device: string) =>
  Number(
    readFileSync(`/sys/block/${basename(device)}/stat`, "utf8")
      .trim()
      .split(/\s+/)[15],
  );
const detachLoop = (device: string) => spawnSync("losetup", ["--detach", device]);

const probe = mkdtempSync(join(tmpdir(), "drive-loop-"));
writeFileSync(join(probe, "probe"), new Uint8Array(16 * BLOCK_BYTES));
const probed = attachLoop(join(probe, "probe"));
afterAll(() => rmSync(probe, { recursive: true }));

// Block devices need rights that not every place gives; without them these cases are not there.
if (probed !== undefined) {
  detachLoop(probed);
  for (const [name, options] of ways) {
    driveCases(`${name}, block device`, async (): Promise<DriveFixture> => {
      const directory = mkdtempSync(join(tmpdir(), "drive-loop-"));
      const devices: string[] = [];
      return {
        world: { drives: linuxDrives(clock, memory, options), memory },
        async drive(blocks) {
          const file = join(directory, `backing-${devices.length}`);
          writeFileSync(file, new Uint8Array(blocks * BLOCK_BYTES).fill(0x33));
          const device = attachLoop(file);
          if (device === undefined) throw new Error("no loop device is free");
          devices.push(device);
          return device;
        },
        async dispose() {
          devices.forEach(detachLoop);
          rmSync(directory, { recursive: true });
        },
      };
    });
  }
}

describe("drives of this machine", () => {
  let directory = "";
  let drives: LinuxDrives;
  const at = (name: string) => join(directory, name);
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "drives-"));
    drives = linuxDrives(clock, memory);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("are on io_uring exactly where the kernel has it", () => {
    const setting = spawnSync("cat", ["/proc/sys/kernel/io_uring_disabled"], { encoding: "utf8" }).stdout.trim();
    if (setting === "0") expect(drives.uringRefused).toBeUndefined();
    expect(linuxDrives(clock, memory, { uring: false }).uringRefused).toBe("not wanted");
  });

  it("have whole blocks only", async () => {
    writeFileSync(at("odd"), new Uint8Array(2 * BLOCK_BYTES + 100).fill(1));
    const drive = await drives.open(at("odd"), "read-write");
    expect(drive.blockCount).toBe(2);
    await drive.close();
  });

  it("are not empty files, directories or pipes", async () => {
    writeFileSync(at("empty"), "");
    writeFileSync(at("small"), new Uint8Array(BLOCK_BYTES - 1));
    mkdirSync(at("directory"));
    spawnSync("mkfifo", [at("pipe")]);
    for (const name of ["empty", "small", "directory", "pipe"]) {
      await expect(drives.open(at(name), "read-write"), name).rejects.toMatchObject({ code: "drive.unusable" });
    }
    await expect(drives.open("/dev/zero", "read-write")).rejects.toMatchObject({ code: "drive.unusable" });
  });

  if (probed !== undefined) {
    it("are denied to writers where they are write-protected", async () => {
      writeFileSync(at("protected"), new Uint8Array(4 * BLOCK_BYTES));
      const device = attachLoop(at("protected"), "--read-only");
      if (device === undefined) throw new Error("no loop device is free");
      try {
        await expect(drives.open(device, "read-write")).rejects.toMatchObject({ code: "drive.denied" });
        await (await drives.open(device, "read-only")).close();
      } finally {
        detachLoop(device);
      }
    });
  }

  for (const [name, options] of probed === undefined ? [] : ways) {
    it(`reach the device's cache exactly when a write or a flush says so: ${name}`, async () => {
      writeFileSync(at("backing"), new Uint8Array(4 * BLOCK_BYTES));
      const device = attachLoop(at("backing"));
      if (device === undefined) throw new Error("no loop device is free");
      try {
        const drive = await linuxDrives(clock, memory, options).open(device, "read-write");
        const buffer = memory.allocate(BLOCK_BYTES).fill(1);
        const counts = [flushesOf(device)];
        for (const ask of [
          () => drive.write(lba(0), buffer),
          () => drive.write(lba(1), buffer, { fua: true }),
          () => drive.write(lba(2), buffer),
          () => drive.flush(),
        ]) {
          await ask();
          counts.push(flushesOf(device));
        }
        const grew = counts.slice(1).map((count, index) => count > counts[index]);
        expect(grew).toEqual([false, true, false, true]);
        await drive.close();
      } finally {
        detachLoop(device);
      }
    });
  }

  if (process.getuid?.() !== 0) {
    it("are denied to those who may not", async () => {
      writeFileSync(at("secret"), new Uint8Array(BLOCK_BYTES));
      chmodSync(at("secret"), 0);
      await expect(drives.open(at("secret"), "read-write")).rejects.toMatchObject({ code: "drive.denied" });
    });
  }

  it("wait a moment for whoever is just letting go of a drive", async () => {
    await drives.create(at("contended"), byteCount(BLOCK_BYTES));
    const held = await drives.open(at("contended"), "read-write");
    const waiting = drives.open(at("contended"), "read-write");
    clock.after(millis(60), () => void held.close());
    await (await waiting).close();
  });

  it("are held against other processes", async () => {
    await drives.create(at("held"), byteCount(BLOCK_BYTES));
    const held = await drives.open(at("held"), "read-write");
    expect(spawnSync("flock", ["--nonblock", at("held"), "true"]).status).toBe(1);
    await held.close();
    expect(spawnSync("flock", ["--nonblock", at("held"), "true"]).status).toBe(0);
  });

  it("leave nothing behind where there is no room, or no directory", async () => {
    await expect(drives.create(at("huge"), byteCount(4 * 1024 * TiB))).rejects.toMatchObject({ code: "drive.nospace" });
    await expect(drives.open(at("huge"), "read-only")).rejects.toMatchObject({ code: "drive.missing" });
    const nowhere = join(directory, "none", "drive");
    await expect(drives.create(nowhere, byteCount(BLOCK_BYTES))).rejects.toMatchObject({ code: "drive.missing" });
  });

  it("are at their path only once they are whole, whatever a process that was killed left beside it", async () => {
    writeFileSync(at("whole.part"), new Uint8Array(5 * BLOCK_BYTES).fill(7));
    let seen = 0;
    let over = false;
    const created = drives.create(at("whole"), byteCount(64 * 256 * BLOCK_BYTES)).finally(() => {
      over = true;
    });
    while (!over) {
      if (existsSync(at("whole"))) expect(statSync(at("whole")).size).toBe(64 * 256 * BLOCK_BYTES);
      else seen++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await created;
    expect(seen).toBeGreaterThan(0);
    expect(existsSync(at("whole.part"))).toBe(false);
    expect(readFileSync(at("whole")).every((byte) => byte === 0)).toBe(true);
  });

  for (const [name, options] of ways) {
    it(`say which request of which drive failed, and go on: ${name}`, async () => {
      const some = linuxDrives(clock, memory, options);
      await some.create(at("cut"), byteCount(8 * BLOCK_BYTES));
      const drive = await some.open(at("cut"), "read-write");
      truncateSync(at("cut"), 4 * BLOCK_BYTES);
      const buffer = memory.allocate(4 * BLOCK_BYTES);
      await expect(drive.read(lba(2), buffer)).rejects.toMatchObject({
        code: "drive.io",
        what: `Drive ${at("cut")}: read of 4 blocks at 2 failed: EIO.`,
      });
      await drive.read(lba(0), buffer);
      await drive.close();
      await expect(drive.flush()).rejects.toMatchObject({ code: "drive.closed" });
    });
  }

  it("go round their ring many times", async () => {
    await drives.create(at("round"), byteCount(BLOCK_BYTES));
    const drive = await drives.open(at("round"), "read-write");
    const buffer = memory.allocate(BLOCK_BYTES);
    for (let round = 0; round < 200; round++) {
      await Promise.all(Array.from({ length: 100 }, () => drive.read(lba(0), buffer)));
    }
    await drive.close();
  });

  it("copy only what is not page-aligned", async () => {
    await drives.create(at("copies"), byteCount(8 * BLOCK_BYTES));
    const drive = await drives.open(at("copies"), "read-write");
    const buffer = memory.allocate(2 * BLOCK_BYTES);
    await drive.write(lba(0), buffer);
    await drive.read(lba(1), buffer.subarray(BLOCK_BYTES));
    expect(drives.copies()).toBe(0);
    await drive.read(lba(1), buffer.subarray(1, 1 + BLOCK_BYTES));
    await drive.write(lba(1), new Uint8Array(BLOCK_BYTES));
    expect(drives.copies()).toBe(2);
    await drive.close();
  });

  it("work side by side on one ring, opened and closed in any order", async () => {
    const buffers = Array.from({ length: 6 }, (_, index) => memory.allocate(BLOCK_BYTES).fill(index + 1));
    for (let round = 0; round < 3; round++) {
      const opened = await Promise.all(
        buffers.map(async (buffer, index) => {
          const path = at(`drive-${index}`);
          if (round === 0) await drives.create(path, byteCount(BLOCK_BYTES));
          const drive = await drives.open(path, "read-write");
          await drive.write(lba(0), buffer, { fua: true });
          return drive;
        }),
      );
      const read = memory.allocate(BLOCK_BYTES);
      for (const [index, drive] of opened.entries()) {
        await drive.read(lba(0), read);
        expect(read.every((byte) => byte === index + 1)).toBe(true);
        await drive.close();
      }
    }
  });
});
