/** Makes an update file of a unified kernel image. Refuses an image that could not be in a slot. */

import { OperatingError } from "../base/operating-error.ts";
import type { Files } from "../platform/files.ts";
import type { Signatures, Signer } from "../platform/signatures.ts";
import { sameBytes } from "./check-update.ts";
import type { OnProgress } from "./progress.ts";
import { readThrough } from "./read-through.ts";
import { readUki } from "./uki.ts";
import { encodeHead, type Manifest, PAYLOAD_BYTES_MAX, PRODUCT, putSignature, signedPart } from "./update-file.ts";

/**
 * Version and formats are those that the image says of itself.
 * @param uki  path of the image
 * @param into path of the update file; what is there is replaced
 */
export async function writeUpdate(
  files: Files,
  uki: string,
  into: string,
  { signer, signatures }: { readonly signer: Signer; readonly signatures: Signatures },
  onProgress: OnProgress,
): Promise<Manifest> {
  if (into === uki) throw unusable(uki, "the update file would take its place");
  const image = await files.open(uki);
  if (image === undefined) throw unusable(uki, "it is not there");
  try {
    if (image.size > PAYLOAD_BYTES_MAX) throw unusable(uki, `it has more than ${PAYLOAD_BYTES_MAX} bytes`);
    const release = await readUki(image, 0);
    if (typeof release === "string") throw unusable(uki, release);
    const payloadSha256 = await readThrough(image, 0, signatures, "reading", onProgress);
    const manifest = { product: PRODUCT, ...release, payloadBytes: image.size, payloadSha256 };
    const head = encodeHead(manifest, signer.key);
    putSignature(head, signer.sign(signedPart(head)));
    const update = await files.create(into);
    try {
      await update.write(head);
      const written = await readThrough(image, 0, signatures, "writing", onProgress, (part) => update.write(part));
      if (!sameBytes(written, payloadSha256)) throw unusable(uki, "it changed while it was read");
      await update.finish();
    } catch (error) {
      await update.discard();
      throw error;
    }
    return manifest;
  } finally {
    await image.close();
  }
}

function unusable(uki: string, why: string): OperatingError {
  const remedy = "Name a unified kernel image that has the os-release of `antipode firmware os-release`.";
  return new OperatingError("firmware.image", `No update can be made of ${uki}: ${why}.`, remedy);
}
