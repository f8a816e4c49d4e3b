import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, lba, volumeId } from "../base/units.ts";
import type { HostWrite } from "./admission.ts";
import { MirroredVolume } from "./mirrored-volume.ts";

describe.each([512, 4096] as const)("a volume with blocks of %i bytes", (blockSize) => {
  function open() {
    const writes: HostWrite[] = [];
    const service = {
      submit: async (write: HostWrite) => {
        writes.push(write);
      },
      read: () => undefined,
    };
    return { volume: new MirroredVolume(service, volumeId(3), 64 * 1024 * 1024, blockSize), writes };
  }

  it("takes a write of as many blocks as are atomic as one request, wherever it begins", async () => {
    const { volume, writes } = open();
    const data = new Uint8Array(volume.atomicBlocksMax * blockSize);
    for (let first = 0; first <= BLOCK_BYTES / blockSize; first++) await volume.write(lba(first), data);
    expect(writes).toHaveLength(BLOCK_BYTES / blockSize + 1);
    expect(new Set(writes.map(({ length }) => length))).toEqual(new Set([data.length]));
  });

  it("cuts one of more blocks somewhere", async () => {
    const { volume, writes } = open();
    const data = new Uint8Array((volume.atomicBlocksMax + 1) * blockSize);
    await volume.write(lba(BLOCK_BYTES / blockSize - 1), data);
    expect(writes.length).toBeGreaterThan(1);
  });
});
