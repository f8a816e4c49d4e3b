/** Journals that are damaged, blank, foreign or of another site. */

import { readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { qemuIo, tool } from "../conformance/initiator.ts";
import { alone, mirrorSite, put, urlOf, withLegs } from "../conformance/sites.ts";
import { freePorts, type Running, until, Workbench } from "../conformance/workbench.ts";
import { contents, EXIT, expectRefusal } from "./refusal.ts";

const MiB = 1024 * 1024;
const FILES = ["alone-drive-0", "alone-journal"];

let bench: Workbench;
beforeEach(() => {
  bench = new Workbench();
});
afterEach(() => bench.close());

describe("the journal of a site with data", () => {
  let port: number;
  let file: string;

  beforeEach(async () => {
    [port] = await freePorts(1);
    file = put(bench, alone({ port }));
    const site = await bench.serve(file);
    await qemuIo(bench, urlOf(port), "write -P 0x51 0 8M");
    expect(await site.stop()).toBe(0);
    renameSync(bench.path("alone-journal"), bench.path("kept"));
  });

  /** Starts with what was put in the journal's place, then again with the right one. */
  async function refusedUntilItIsBack(code: string, ...mentions: readonly string[]): Promise<void> {
    const before = contents(bench, ...FILES);
    expectRefusal(await bench.antipode("serve", file), EXIT.operation, code, ...mentions);
    expectRefusal(await bench.antipode("inspect", file), EXIT.operation, code.replace("raid.foreign", "journal.blank"));
    expect(contents(bench, ...FILES)).toEqual(before);
    renameSync(bench.path("kept"), bench.path("alone-journal"));
    const site = await bench.serve(file);
    await qemuIo(bench, urlOf(port), "read -P 0x51 0 8M");
    expect(await site.stop()).toBe(0);
  }

  it("that is blank while its drives are not is refused", async () => {
    writeFileSync(bench.path("alone-journal"), "");
    truncateSync(bench.path("alone-journal"), 16 * MiB);
    await refusedUntilItIsBack("raid.foreign", "alone-drive-0");
  });

  it("that is another group's is refused", async () => {
    const [otherPort] = await freePorts(1);
    const other = put(bench, { ...alone({ port: otherPort, name: "second" }), group: "other" });
    expect(await (await bench.serve(other)).stop()).toBe(0);
    renameSync(bench.path("second-journal"), bench.path("alone-journal"));
    await refusedUntilItIsBack("journal.group", "alone-journal", "other");
  });

  it("that is a file system is refused", async () => {
    writeFileSync(bench.path("alone-journal"), "");
    truncateSync(bench.path("alone-journal"), 16 * MiB);
    await tool(bench, "mkfs.ext4", "-q", "-F", bench.path("alone-journal"));
    await refusedUntilItIsBack("journal.foreign", "alone-journal");
  });

  it("that was cut shorter is refused", async () => {
    writeFileSync(bench.path("alone-journal"), readFileSync(bench.path("kept")).subarray(0, 12 * MiB));
    await refusedUntilItIsBack("journal.size", "alone-journal");
  });

  it("whose superblocks are overwritten is refused", async () => {
    const bytes = readFileSync(bench.path("kept"));
    bytes.fill(0xee, 0, 64 * 1024);
    writeFileSync(bench.path("alone-journal"), bytes);
    await refusedUntilItIsBack("journal.foreign", "alone-journal");
  });
});

describe("a journal with writes that are not stored yet", () => {
  const WRITES = 6;
  /** No other byte of the journal is likely to be the same for 4096 bytes. */
  const pattern = (write: number) => 0x90 + write;
  let port: number;
  let file: string;
  let held: Running;

  /**
   * Leaves a killed primary whose journal holds `WRITES` requests, each in a drive write of its own, of which the
   * host was told nothing: one of its two legs held still, so none of them could be committed, and none was stored.
   */
  beforeEach(async () => {
    const [first, second, third] = await freePorts(3);
    port = first;
    file = put(bench, withLegs({ port, name: "alone" }, { one: second, two: third }));
    await bench.serve(put(bench, mirrorSite({ name: "one", port: second }, "alone")));
    held = await bench.serve(put(bench, mirrorSite({ name: "two", port: third }, "alone")));
    const primary = await bench.serve(file);
    await qemuIo(bench, urlOf(port), "write -P 0x61 0 1M");
    const { durable } = await journal("alone");
    held.signal("SIGSTOP");
    const host = bench.start("qemu-io", ["-f", "raw", urlOf(port)]);
    for (let write = 1; write <= WRITES; write++) {
      host.tell(`aio_write -P ${pattern(write)} ${write}M 8k\n`);
      for (const site of ["alone", "one"]) {
        await until(
          async () => (await journal(site)).durable >= durable + write,
          () => `write ${write} in the journal of ${site}`,
        );
      }
    }
    primary.signal("SIGKILL");
    host.signal("SIGKILL");
    await Promise.all([primary.exited, host.exited]);
    held.signal("SIGCONT");
  });

  async function journal(site: string): Promise<{ durable: number; tornTail?: object }> {
    const result = await bench.antipode("ctl", "--json", "--socket", bench.path(`${site}.sock`), "show", "journal");
    return JSON.parse(result.stdout);
  }

  /** Where the journal has the data of a write. */
  function placeOf(bytes: Buffer, write: number): number {
    const at = bytes.indexOf(Buffer.alloc(8192, pattern(write)));
    expect(at).toBeGreaterThan(0);
    return at;
  }

  function damage(write: number, change: (data: Buffer) => void): void {
    const path = bench.path("alone-journal");
    const bytes = readFileSync(path);
    const at = placeOf(bytes, write);
    change(bytes.subarray(at, at + 8192));
    writeFileSync(path, bytes);
  }

  async function holdsAll(): Promise<void> {
    const reads = Array.from({ length: WRITES }, (_, at) => `read -P ${pattern(at + 1)} ${at + 1}M 8k`);
    await qemuIo(bench, urlOf(port), "read -P 0x61 0 1M", ...reads);
    const verified = await bench.antipode("ctl", "--socket", bench.path("alone.sock"), "verify");
    expect(verified.code, verified.text).toBe(0);
  }

  it("is refused with a flipped bit in the middle, by place, and left as it is", async () => {
    const flip = (data: Buffer) => {
      data[1234] ^= 0x10;
    };
    damage(3, flip);
    const before = contents(bench, ...FILES);
    for (const command of ["serve", "inspect"]) {
      const result = await bench.antipode(command, file);
      expectRefusal(result, EXIT.operation, "journal.corrupt", "alone-journal");
      expect(result.stderr).toMatch(/byte \d+/);
    }
    expect(contents(bench, ...FILES)).toEqual(before);
    // No write can be found by its data any more: the bit is put back where it was.
    const bytes = readFileSync(bench.path("alone-journal"));
    const odd = bytes.indexOf(Buffer.alloc(1000, pattern(3)));
    flip(bytes.subarray(odd, odd + 8192));
    writeFileSync(bench.path("alone-journal"), bytes);
    const site = await bench.serve(file);
    await holdsAll();
    expect(await site.stop()).toBe(0);
  });

  it("goes on with a torn tail, which another site makes good", async () => {
    damage(WRITES, (data) => data.fill(0, 5000));
    const site = await bench.serve(file);
    await holdsAll();
    expect((await journal("alone")).tornTail).toBeDefined();
    expect(await site.stop()).toBe(0);
  });

  it("holds all of it where it is whole", async () => {
    const site = await bench.serve(file);
    await holdsAll();
    expect((await journal("alone")).tornTail).toBeUndefined();
    expect(await site.stop()).toBe(0);
  });
});
