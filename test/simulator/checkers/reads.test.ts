import { expect, it } from "vitest";
import { crc32c } from "../../../src/base/crc32c.ts";
import { BLOCK_BYTES, volumeId } from "../../../src/base/units.ts";
import { FakeSite } from "./fake-site.ts";
import { Fleet } from "./fleet.ts";
import { LogRecord } from "./log-record.ts";
import { Reads } from "./reads.ts";

it("a read may find what was there at any time since it began, also where a write in doubt brings it back", () => {
  const [old, other] = [3, 4].map((byte) => new Uint8Array(BLOCK_BYTES).fill(byte));
  const denver = new FakeSite("denver").append(1, crc32c(old)).append(1, crc32c(other)).commit(2);
  const record = new LogRecord();
  const fleet = new Fleet(() => [denver]);
  const reads = new Reads(fleet, record);
  fleet.refresh();
  reads.look();
  denver.append(1, crc32c(old));
  denver.answer({ volume: volumeId(0), lba: 0, content: old, committed: 1 });
  expect(reads.look()).toBeUndefined();
  denver.answer({ volume: volumeId(0), lba: 0, content: old, committed: 2 });
  expect(reads.look()).toMatch(/has read request 3, and only 2 are committed/);
});

it("the invariant reads is broken by an answer with what is not committed", () => {
  const content = new Uint8Array(BLOCK_BYTES).fill(3);
  const denver = new FakeSite("denver").append(1, crc32c(content));
  const fleet = new Fleet(() => [denver]);
  const reads = new Reads(fleet, new LogRecord());
  const look = () => {
    fleet.refresh();
    return reads.look();
  };
  expect(look()).toBeUndefined();
  denver.answer({ volume: volumeId(0), lba: 0, content: new Uint8Array(BLOCK_BYTES), committed: 0 });
  expect(look()).toBeUndefined();
  denver.commit(1).answer({ volume: volumeId(0), lba: 0, content, committed: 0 });
  expect(look()).toBeUndefined();
  denver.append(1, crc32c(content)).answer({ volume: volumeId(0), lba: 0, content, committed: 0 });
  expect(look()).toBeUndefined();
  denver.commit(0).answer({ volume: volumeId(0), lba: 0, content, committed: 0 });
  expect(look()).toMatch(/a host of denver has read request 2, and only 0 are committed/);
});
