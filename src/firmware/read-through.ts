import type { FileReader } from "../platform/files.ts";
import type { Signatures } from "../platform/signatures.ts";
import type { OnProgress } from "./progress.ts";

const PART_BYTES = 1024 * 1024;

/** Reads a file from `offset` to its end, part by part, each of which is good until the next. @returns the SHA-256 of it */
export async function readThrough(
  file: FileReader,
  offset: number,
  signatures: Signatures,
  what: string,
  onProgress: OnProgress,
  onPart: (part: Uint8Array) => Promise<void> = async () => {},
): Promise<Uint8Array> {
  const hash = signatures.sha256();
  const total = file.size - offset;
  const buffer = new Uint8Array(Math.min(PART_BYTES, total));
  for (let done = 0; done < total; ) {
    const part = buffer.subarray(0, Math.min(buffer.length, total - done));
    await file.read(offset + done, part);
    hash.update(part);
    await onPart(part);
    done += part.length;
    onProgress({ what, done, total });
  }
  return hash.digest();
}
