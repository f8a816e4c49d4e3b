import { describe, expect, it } from "vitest";
import { perfRate, qemuSeconds, STRIDE } from "./clients.ts";

describe("clients", () => {
  it("are understood", () => {
    expect(qemuSeconds("Sending 20 read requests, 4096 bytes each\nRun completed in 0.675 seconds.\n")).toBe(0.675);
    const progress = "\r00:00:01 - lba 1, iops current 29103 (113 MB/s), iops average 29103 (113 MB/s), in_flight 32";
    expect(perfRate(`${progress}   \riops average 25623 (100 MB/s)      \n\nfinished.\n`)).toBe(25_623);
  });

  it("are not believed when they did not finish", () => {
    expect(() => qemuSeconds("qemu-img: Failed request: Input/output error\n")).toThrow("did not say");
    expect(() => perfRate("\r00:00:01 - iops average 29103 (113 MB/s)")).toThrow("did not say");
  });

  it("stride by every place of a volume once", () => {
    const places = (512 * 1024 * 1024) / 4096;
    const seen = new Set<number>();
    for (let at = 0, count = 0; count < places; count++, at = (at + STRIDE) % places) seen.add(at);
    expect(seen.size).toBe(places);
  });
});
