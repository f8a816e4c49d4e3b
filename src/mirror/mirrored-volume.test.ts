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
      allocation: async (_: number, at: number, blocks: number) => ({
        mapped: at < 4,
        blocks: Math.min(blocks, at < 4 ? 4 - at : 100),
      }),
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

  it("says of its own blocks which are mapped", async () => {
    const { volume } = open();
    const per = BLOCK_BYTES / blockSize;
    expect(await volume.allocation(lba(0), volume.blockCount)).toEqual({ mapped: true, blocks: 4 * per });
    expect(await volume.allocation(lba(4 * per - 1), 10 * per)).toEqual({ mapped: true, blocks: 1 });
    expect(await volume.allocation(lba(4 * per), 1)).toEqual({ mapped: false, blocks: 1 });
    expect(await volume.allocation(lba(5 * per - 1), 2)).toEqual({ mapped: false, blocks: 2 });
  });

  it("cuts one of more blocks somewhere", async () => {
    const { volume, writes } = open();
    const data = new Uint8Array((volume.atomicBlocksMax + 1) * blockSize);
    await volume.write(lba(BLOCK_BYTES / blockSize - 1), data);
    expect(writes.length).toBeGreaterThan(1);
  });
});
