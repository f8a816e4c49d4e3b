import { beforeEach, describe, expect, it } from "vitest";
import { crc32c } from "../../../src/base/crc32c.ts";
import { BLOCK_BYTES, epoch, lba, sequence, volumeId } from "../../../src/base/units.ts";
import type { RequestHead } from "../../../src/journal/journal.ts";
import { stamped } from "../system.ts";
import { FakeSite } from "./fake-site.ts";
import { LogRecord } from "./log-record.ts";

const VOLUME = volumeId(0);

describe("what a log leaves in a volume", () => {
  let record: LogRecord;
  let denver: FakeSite;
  /** Four blocks. */
  let content: Uint8Array;

  const put = (kind: "write" | "unmap", block: number, ...stamps: number[]) => {
    const at = sequence(denver.journal.appended + 1);
    if (at === 1) denver.journal.history = [{ epoch: epoch(1), start: at }];
    const checksums = Uint32Array.from(kind === "write" ? stamps : [], (stamp) => crc32c(stamped(stamp)));
    const common = { epoch: epoch(1), sequence: at, volume: VOLUME, lba: lba(block), blocks: stamps.length };
    const head: RequestHead = { ...common, kind, checksums };
    denver.journal.requests.push(head);
    record.see("denver", head);
    for (const [offset, stamp] of stamps.entries()) {
      content.set(kind === "write" ? stamped(stamp) : new Uint8Array(BLOCK_BYTES), (block + offset) * BLOCK_BYTES);
    }
  };
  const fault = (upTo: number) => record.contentFault(VOLUME, content, upTo, (at) => denver.journal.head(at));

  beforeEach(() => {
    record = new LogRecord();
    denver = new FakeSite("denver");
    content = new Uint8Array(4 * BLOCK_BYTES);
    put("write", 0, 1, 2, 3);
    put("write", 1, 4);
    put("unmap", 2, 0);
    record.commit(denver.commit(2));
  });

  it("is told by what was committed, and by the site's own journal beyond that", () => {
    expect(fault(3)).toBeUndefined();
    expect(fault(2)).toMatch(/block 2 of volume 0 is not what the log up to 2 leaves there/);
  });

  it("is told as well when every site has retired all of it", () => {
    record.commit(denver.commit(3));
    record.trim(3);
    expect(record.floor).toBe(3);
    expect(fault(3)).toBeUndefined();
    content[BLOCK_BYTES] ^= 1;
    expect(fault(3)).toMatch(/block 1/);
  });

  it("has zeros where nothing was ever written", () => {
    content[3 * BLOCK_BYTES] = 1;
    expect(fault(3)).toMatch(/block 3/);
  });

  it("is not told once a committed request came and went unseen", () => {
    denver.append(1);
    record.commit(denver.commit(4));
    expect(record.gaps).toBe(1);
    content[0] ^= 1;
    expect(fault(4)).toBeUndefined();
  });
});
