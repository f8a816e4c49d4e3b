import { closeSync, openSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, lba } from "../../base/units.ts";
import { BouncePool } from "./bounce-pool.ts";
import type { IoEngine, IoOperation, IoRequest } from "./io-engine.ts";
import { EOPNOTSUPP, Errno } from "./libc.ts";
import { LinuxDrive } from "./linux-drive.ts";
import { linuxMemory } from "./linux-memory.ts";

const memory = linuxMemory();

interface Seen {
  readonly operation: IoOperation;
  readonly offset: number;
  readonly length: number;
  readonly address: number;
  readonly request: IoRequest;
}

/** An engine that does nothing until the test says what came of a request. */
class HandEngine implements IoEngine {
  readonly inFlightMax = 4;
  readonly needsSyncFd = false;
  readonly started: Seen[] = [];
  readonly content = new Map<number, Uint8Array>();
  attached = 1;
  attach() {
    this.attached++;
  }
  detach() {
    this.attached--;
  }
  start(request: IoRequest) {
    const { operation, offset, length, address } = request;
    this.started.push({ operation, offset, length, address, request });
  }
  /** Completes the oldest request that has not been. */
  answer(result: number) {
    const seen = this.started.shift();
    if (seen === undefined) throw new Error("nothing was started");
    seen.request.complete(result);
    return seen;
  }
}

function fixture(blockCount = 64) {
  const engine = new HandEngine();
  const bounce = new BouncePool(memory);
  const fd = openSync("/dev/null", "r");
  const file = { path: "/dev/test", fd, syncFd: fd, writable: true, direct: true, blockCount, isBlockDevice: true };
  return { engine, bounce, fd, drive: new LinuxDrive(file, { engine, memory, bounce }) };
}

const pages = (count: number) => memory.allocate(count * BLOCK_BYTES);

describe("a drive over an engine", () => {
  it("continues a short transfer where it stopped", async () => {
    const { engine, drive } = fixture();
    const buffer = pages(4);
    const reading = drive.read(lba(8), buffer);
    expect(engine.answer(BLOCK_BYTES + 512)).toMatchObject({ offset: 8 * BLOCK_BYTES, length: 4 * BLOCK_BYTES });
    const rest = engine.answer(512);
    expect(rest).toMatchObject({
      offset: 9 * BLOCK_BYTES + 512,
      length: 3 * BLOCK_BYTES - 512,
      address: memory.addressOf(buffer) + BLOCK_BYTES + 512,
    });
    expect(rest.request.memory.length).toBe(3 * BLOCK_BYTES - 1024);
    engine.answer(3 * BLOCK_BYTES - 1024);
    await reading;
    expect(engine.started).toEqual([]);
  });

  it("repeats what was interrupted, but not for ever", async () => {
    const { engine, drive } = fixture();
    const flushing = drive.flush();
    engine.answer(-Errno.EINTR);
    engine.answer(-Errno.EAGAIN);
    engine.answer(0);
    await flushing;
    const writing = drive.write(lba(0), pages(1));
    const failed = expect(writing).rejects.toMatchObject({ code: "drive.io", cause: Errno.EAGAIN });
    for (let round = 0; engine.started.length > 0; round++) {
      expect(round).toBeLessThan(2000);
      engine.answer(-Errno.EAGAIN);
    }
    await failed;
  });

  it("rejects every other failure at once, naming drive, operation, blocks and error", async () => {
    const { engine, drive } = fixture();
    for (const [ask, what] of [
      [() => drive.read(lba(3), pages(2)), "read of 2 blocks at 3"],
      [() => drive.write(lba(5), pages(1)), "write of 1 blocks at 5"],
      [() => drive.flush(), "flush"],
      [() => drive.unmap(lba(6), 7), "unmap of 7 blocks at 6"],
    ] as const) {
      const failed = expect(ask()).rejects.toMatchObject({
        code: "drive.io",
        what: `Drive /dev/test: ${what} failed: EIO.`,
      });
      engine.answer(-Errno.EIO);
      await failed;
      expect(engine.started).toEqual([]);
    }
  });

  it("rejects a transfer that ends early", async () => {
    const { engine, drive } = fixture();
    const failed = expect(drive.write(lba(0), pages(2))).rejects.toMatchObject({ code: "drive.io" });
    engine.answer(BLOCK_BYTES);
    engine.answer(0);
    await failed;
  });

  it("keeps to the engine's bound, and starts the rest in order", async () => {
    const { engine, drive } = fixture();
    const order: number[] = [];
    const asked = Array.from({ length: 11 }, (_, index) =>
      drive.read(lba(index), pages(1))?.then(() => order.push(index)),
    );
    for (let answered = 0; answered < 11; answered++) {
      expect(engine.started.length).toBe(Math.min(4, 11 - answered));
      expect(engine.answer(BLOCK_BYTES).offset).toBe(answered * BLOCK_BYTES);
    }
    await Promise.all(asked);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it("never starts a request that was aborted in the queue", async () => {
    const { engine, drive } = fixture();
    const first = [0, 1, 2, 3].map((index) => drive.read(lba(index), pages(1)));
    const abort = new AbortController();
    const aborted = expect(drive.read(lba(4), pages(1), abort.signal)).rejects.toBe("enough");
    const last = drive.read(lba(5), pages(1));
    abort.abort("enough");
    await aborted;
    const offsets = [0, 0, 0, 0, 0].map(() => engine.answer(BLOCK_BYTES).offset / BLOCK_BYTES);
    expect(offsets).toEqual([0, 1, 2, 3, 5]);
    await Promise.all([...first, last]);
  });

  it("counts an aborted request as in flight until the engine is done with it", async () => {
    const { engine, drive } = fixture();
    const abort = new AbortController();
    const buffer = new Uint8Array(BLOCK_BYTES).fill(1);
    const aborted = expect(drive.read(lba(0), buffer, abort.signal)).rejects.toBe("enough");
    abort.abort("enough");
    await aborted;
    let closed = false;
    const closing = drive.close().then(() => {
      closed = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe(false);
    engine.started[0].request.memory.fill(2);
    engine.answer(BLOCK_BYTES);
    await closing;
    expect(engine.attached).toBe(0);
    expect(buffer.every((byte) => byte === 1)).toBe(true);
  });

  it("closes its file only when it is idle", async () => {
    const { engine, drive, fd } = fixture();
    const writing = drive.write(lba(0), pages(1));
    const closing = drive.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(engine.attached).toBe(1);
    await expect(drive.read(lba(0), pages(1))).rejects.toMatchObject({ code: "drive.closed" });
    engine.answer(BLOCK_BYTES);
    await Promise.all([writing, closing]);
    expect(() => closeSync(fd)).toThrow(/EBADF/);
  });

  it("gives the engine page-aligned memory only, and copies the rest both ways", async () => {
    const { engine, drive, bounce } = fixture();
    const room = pages(3);
    for (const buffer of [room.subarray(8, 8 + BLOCK_BYTES), new Uint8Array(BLOCK_BYTES)]) {
      buffer.fill(7);
      const writing = drive.write(lba(0), buffer);
      const written = engine.started[0].request;
      expect(written.address % 4096).toBe(0);
      expect(memory.addressOf(written.memory)).toBe(written.address);
      expect(written.memory.subarray(0, BLOCK_BYTES).every((byte) => byte === 7)).toBe(true);
      engine.answer(BLOCK_BYTES);
      await writing;
      const reading = drive.read(lba(0), buffer);
      engine.started[0].request.memory.fill(9);
      engine.answer(BLOCK_BYTES);
      await reading;
      expect(buffer.every((byte) => byte === 9)).toBe(true);
    }
    expect(room.subarray(8 + BLOCK_BYTES).every((byte) => byte === 0)).toBe(true);
    expect(bounce.copies).toBe(4);
  });

  it("leaves the caller's buffer alone where a copied read fails", async () => {
    const { engine, drive } = fixture();
    const buffer = new Uint8Array(BLOCK_BYTES).fill(7);
    const failed = expect(drive.read(lba(0), buffer)).rejects.toMatchObject({ code: "drive.io" });
    engine.started[0].request.memory.fill(9);
    engine.answer(-Errno.EIO);
    await failed;
    expect(buffer.every((byte) => byte === 7)).toBe(true);
  });

  it("finds another way to unmap where the drive has no better one, and remembers it", async () => {
    const { engine, drive } = fixture(1024);
    const unmapping = drive.unmap(lba(1), 300);
    const tried = [engine.started[0].request.mode];
    engine.answer(-EOPNOTSUPP);
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    tried.push(engine.started[0].request.mode);
    expect(new Set(tried).size).toBe(2);
    engine.answer(-EOPNOTSUPP);
    await new Promise((resolve) => setImmediate(resolve));
    const zeros = engine.started[0].request;
    expect(zeros).toMatchObject({ operation: "write", offset: BLOCK_BYTES, length: 256 * BLOCK_BYTES });
    expect(zeros.memory.every((byte) => byte === 0)).toBe(true);
    engine.answer(256 * BLOCK_BYTES);
    await new Promise((resolve) => setImmediate(resolve));
    expect(engine.answer(44 * BLOCK_BYTES)).toMatchObject({ offset: 257 * BLOCK_BYTES, length: 44 * BLOCK_BYTES });
    await unmapping;
    const again = drive.unmap(lba(0), 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(engine.answer(BLOCK_BYTES).operation).toBe("write");
    await again;
  });

  it("refuses more requests than its queue holds", async () => {
    const { engine, drive } = fixture();
    const buffer = pages(1);
    const asked = Array.from({ length: 4 + 65_536 }, () => drive.read(lba(0), buffer));
    await expect(drive.read(lba(0), buffer)).rejects.toMatchObject({ code: "drive.overloaded" });
    while (engine.started.length > 0) engine.answer(BLOCK_BYTES);
    await Promise.all(asked);
    const after = drive.read(lba(0), buffer);
    engine.answer(BLOCK_BYTES);
    await after;
  });
});
