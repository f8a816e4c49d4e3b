import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, type Sequence, sequence, volumeId } from "../base/units.ts";
import { Admission, type AdmissionGate, type AdmittedWrite, type HostWrite } from "./admission.ts";

const VOLUME = volumeId(0);

/** A gate over a volume in memory, with room that can be taken away and reads that can be held up. */
class FakeGate implements AdmissionGate {
  readonly content = new Uint8Array(8 * BLOCK_BYTES);
  readonly admitted: AdmittedWrite[] = [];
  room = true;
  heldReads: (() => void)[] | undefined;

  hasRoom = (_blocks: number): boolean => this.room;
  admit(write: AdmittedWrite): Sequence {
    this.admitted.push(write);
    if (write.kind === "write") this.content.set(write.data, write.lba * BLOCK_BYTES);
    return sequence(this.admitted.length);
  }
  async readNewest(_volume: typeof VOLUME, lba: number, into: Uint8Array): Promise<void> {
    const { heldReads } = this;
    if (heldReads !== undefined) await new Promise<void>((resolve) => heldReads.push(resolve));
    into.set(this.content.subarray(lba * BLOCK_BYTES, lba * BLOCK_BYTES + into.length));
  }
  async acknowledged(): Promise<void> {}
}

function write(offset: number, length: number, fill: number): HostWrite {
  return { kind: "write", volume: VOLUME, offset, length, data: new Uint8Array(length).fill(fill) };
}

describe("admission", () => {
  it("lets whole blocks in at once", () => {
    const gate = new FakeGate();
    void new Admission(gate).submit(write(0, BLOCK_BYTES, 1));
    expect(gate.admitted.map(({ lba, blocks }) => [lba, blocks])).toEqual([[0, 1]]);
  });

  it("completes a part of a block from what came before it, and keeps what comes after behind it", async () => {
    const gate = new FakeGate();
    const admission = new Admission(gate);
    gate.heldReads = [];
    const first = admission.submit(write(0, BLOCK_BYTES, 1));
    const part = admission.submit(write(512, 512, 2));
    const last = admission.submit(write(0, BLOCK_BYTES, 3));
    expect(gate.admitted).toHaveLength(1);
    gate.heldReads.shift()?.();
    await Promise.all([first, part, last]);
    expect(gate.admitted).toHaveLength(3);
    expect(Array.from(gate.admitted[1].data.subarray(510, 514))).toEqual([1, 1, 2, 2]);
    expect(gate.content[600]).toBe(3);
  });

  it("completes both ends of a write that crosses blocks", async () => {
    const gate = new FakeGate();
    gate.content.fill(9);
    await new Admission(gate).submit(write(BLOCK_BYTES - 512, BLOCK_BYTES + 1024, 4));
    const { lba, blocks } = gate.admitted[0];
    expect([lba, blocks]).toEqual([0, 3]);
    expect(gate.content[BLOCK_BYTES - 513]).toBe(9);
    expect(gate.content[BLOCK_BYTES - 512]).toBe(4);
    expect(gate.content[2 * BLOCK_BYTES + 511]).toBe(4);
    expect(gate.content[2 * BLOCK_BYTES + 512]).toBe(9);
  });

  it("gives a block its newest content again, in order with what came before and after", async () => {
    const gate = new FakeGate();
    const admission = new Admission(gate);
    gate.heldReads = [];
    const rewrite: HostWrite = { ...write(0, BLOCK_BYTES, 0), kind: "rewrite", data: new Uint8Array(0) };
    const all = [write(0, BLOCK_BYTES, 1), rewrite, write(0, BLOCK_BYTES, 3)].map((each) => admission.submit(each));
    expect(gate.admitted).toHaveLength(1);
    gate.heldReads.shift()?.();
    await Promise.all(all);
    expect(gate.admitted.map(({ kind, data }) => [kind, data.length, data[0]])).toEqual([
      ["write", BLOCK_BYTES, 1],
      ["write", BLOCK_BYTES, 1],
      ["write", BLOCK_BYTES, 3],
    ]);
  });

  it("waits for room in order, even where a later write would fit", async () => {
    const gate = new FakeGate();
    const admission = new Admission(gate);
    gate.room = false;
    const writes = [admission.submit(write(0, BLOCK_BYTES, 1)), admission.submit(write(BLOCK_BYTES, BLOCK_BYTES, 2))];
    expect(gate.admitted).toHaveLength(0);
    expect(admission.waiting).toBe(2);
    gate.room = true;
    admission.resume();
    await Promise.all(writes);
    expect(gate.admitted.map(({ lba }) => lba)).toEqual([0, 1]);
  });

  it("lets no small write overtake a large one that waits for room", async () => {
    const gate = new FakeGate();
    const admission = new Admission(gate);
    gate.hasRoom = (blocks) => gate.room || blocks === 1;
    gate.room = false;
    const large = admission.submit(write(0, 2 * BLOCK_BYTES, 1));
    const small = admission.submit(write(0, BLOCK_BYTES, 2));
    expect(gate.admitted).toHaveLength(0);
    gate.room = true;
    admission.resume();
    await Promise.all([large, small]);
    expect(gate.admitted.map(({ data }) => data[0])).toEqual([1, 2]);
  });

  it("drops an aborted write that waits, and rejects all when it stops", async () => {
    const gate = new FakeGate();
    const admission = new Admission(gate);
    gate.room = false;
    const abort = new AbortController();
    const aborted = admission.submit(write(0, BLOCK_BYTES, 1), abort.signal);
    const waiting = admission.submit(write(0, BLOCK_BYTES, 2));
    abort.abort(new Error("aborted"));
    gate.room = true;
    admission.resume();
    await expect(aborted).rejects.toThrow("aborted");
    await waiting;
    expect(gate.admitted.map(({ data }) => data[0])).toEqual([2]);
    admission.stop(new Error("stopped"));
    await expect(admission.submit(write(0, BLOCK_BYTES, 3))).rejects.toThrow("stopped");
    expect(gate.admitted).toHaveLength(1);
  });

  it("does not admit a write that was being completed when admission stopped", async () => {
    const gate = new FakeGate();
    const admission = new Admission(gate);
    gate.heldReads = [];
    const part = admission.submit(write(0, 512, 1));
    admission.stop(new Error("stopped"));
    gate.heldReads.shift()?.();
    await expect(part).rejects.toThrow("stopped");
    expect(gate.admitted).toHaveLength(0);
  });

  it("waits, where the room for a write was gone when it had been completed, and lets nothing overtake it", async () => {
    for (const end of ["room", "stop"]) {
      const gate = new FakeGate();
      const admission = new Admission(gate);
      gate.heldReads = [];
      const part = admission.submit(write(0, 512, 1));
      const next = admission.submit(write(0, BLOCK_BYTES, 2));
      gate.room = false;
      gate.heldReads.shift()?.();
      await turn();
      admission.resume();
      expect(gate.admitted).toHaveLength(0);
      gate.room = true;
      if (end === "stop") admission.stop(new Error("stopped"));
      else admission.resume();
      const outcomes = await Promise.allSettled([part, next]);
      const expected = end === "stop" ? "rejected" : "fulfilled";
      expect(outcomes.map(({ status }) => status)).toEqual([expected, expected]);
      expect(gate.admitted.map(({ data }) => data[0])).toEqual(end === "stop" ? [] : [1, 2]);
    }
  });

  it("lets nothing in while it is paused, by anybody", async () => {
    const gate = new FakeGate();
    const admission = new Admission(gate);
    await admission.pause();
    await admission.pause();
    const waiting = admission.submit(write(0, BLOCK_BYTES, 1));
    admission.unpause();
    expect(gate.admitted).toHaveLength(0);
    admission.unpause();
    await waiting;
    expect(gate.admitted).toHaveLength(1);
  });

  it("is paused only when a write that was being completed has entered", async () => {
    const gate = new FakeGate();
    const admission = new Admission(gate);
    gate.heldReads = [];
    const part = admission.submit(write(0, 512, 1));
    let paused = false;
    const pausing = admission.pause().then(() => {
      paused = true;
    });
    await turn();
    expect(paused).toBe(false);
    gate.heldReads.shift()?.();
    await pausing;
    expect(gate.admitted).toHaveLength(1);
    await part;
  });
});

/** Lets everything that is under way go as far as it comes. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 0);
  });
}
