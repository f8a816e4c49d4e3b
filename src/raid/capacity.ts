/** What an array will hold, before it is made. */

import { BLOCK_BYTES, type ByteCount, byteCount } from "../base/units.ts";
import { type ArrayLevel, geometryOf } from "./geometry.ts";
import { CHUNK_BLOCKS_MAX, ZONE_DATA_BLOCKS, zonesOf } from "./member-layout.ts";

/** The same for every size of chunk, since chunks tile zones. 0 where a drive is too small. */
export function arrayCapacity(level: ArrayLevel, drives: readonly ByteCount[]): ByteCount {
  const zones = Math.min(...drives.map((size) => zonesOf(Math.floor(size / BLOCK_BYTES))));
  const { width } = geometryOf(level, drives.length, CHUNK_BLOCKS_MAX);
  return byteCount(zones * ZONE_DATA_BLOCKS * width * BLOCK_BYTES);
}
