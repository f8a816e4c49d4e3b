/**
 * Looks at an update file, whole, before anything is done with it: who signed it, what it is for, whether all of it is
 * there and as it was signed, and whether this appliance could go on with it. Changes nothing.
 */

import { OperatingError } from "../base/operating-error.ts";
import type { FileReader, Files } from "../platform/files.ts";
import type { Signatures } from "../platform/signatures.ts";
import { type FormatsInUse, formatFault, sameFormats } from "./formats.ts";
import type { OnProgress } from "./progress.ts";
import { fingerprint } from "./public-key.ts";
import { readThrough } from "./read-through.ts";
import { readUki } from "./uki.ts";
import {
  decodeHead,
  FORMAT_VERSION,
  type Formats,
  formatVersionOf,
  HEAD_BYTES,
  type Manifest,
  PRODUCT,
  signatureOf,
  signedPart,
} from "./update-file.ts";
import type { Version } from "./version.ts";

export interface Judge {
  readonly signatures: Signatures;
  /** Public keys whose owners may make updates. */
  readonly keys: readonly Uint8Array[];
  readonly inUse: FormatsInUse;
}

const GET_AGAIN = "Get the update file again, and copy it anew.";

/** Throws `firmware.…` for every reason not to install the file. @returns what it is */
export async function checkUpdate(files: Files, path: string, judge: Judge, onProgress: OnProgress): Promise<Manifest> {
  const file = await files.open(path);
  if (file === undefined) {
    throw new OperatingError("firmware.missing", `There is no file ${path}.`, "Name an update file.");
  }
  try {
    const manifest = decodeAndVerify(await readHead(file, path), path, judge);
    assertWhole(file, path, manifest);
    assertFits(manifest, judge.inUse);
    const sha256 = await readThrough(file, HEAD_BYTES, judge.signatures, "checking", onProgress);
    if (!sameBytes(sha256, manifest.payloadSha256)) {
      throw new OperatingError("firmware.damaged", `The image in ${path} is not as it was signed.`, GET_AGAIN);
    }
    const uki = await readUki(file, HEAD_BYTES);
    if (typeof uki === "string") throw unsoundUpdate(path, `of the image in it, ${uki}`);
    if (uki.version !== manifest.version || !sameFormats(uki.formats, manifest.formats)) {
      throw unsoundUpdate(path, "the image in it says another version or other formats");
    }
    return manifest;
  } finally {
    await file.close();
  }
}

/** Throws where a firmware can't work with what this appliance has. */
export function assertFits(
  release: { readonly version: Version; readonly formats: Formats },
  inUse: FormatsInUse,
): void {
  const fault = formatFault(release, inUse);
  if (fault === undefined) return;
  const remedy = "Stay with the firmware that runs, or install one that reads those formats.";
  throw new OperatingError("firmware.downgrade", fault, remedy);
}

async function readHead(file: FileReader, path: string): Promise<Uint8Array> {
  const head = new Uint8Array(Math.min(HEAD_BYTES, file.size));
  await file.read(0, head);
  const formatVersion = formatVersionOf(head);
  if (formatVersion === undefined) {
    throw new OperatingError("firmware.foreign", `${path} is no update file.`, "Name an antipode-VERSION.update file.");
  }
  if (formatVersion !== FORMAT_VERSION) {
    throw new OperatingError(
      "firmware.format",
      `${path} is an update file of format ${formatVersion}; this firmware knows format ${FORMAT_VERSION}.`,
      "Install a version between this one and that one first, as its release notes say.",
    );
  }
  if (head.length < HEAD_BYTES) throw truncated(path, HEAD_BYTES, file.size);
  return head;
}

function decodeAndVerify(head: Uint8Array, path: string, { keys, signatures }: Judge): Manifest {
  const { key, signature } = signatureOf(head);
  if (!keys.some((trusted) => sameBytes(trusted, key))) {
    const known = keys.map((trusted) => fingerprint(trusted, signatures)).join(", ");
    throw new OperatingError(
      "firmware.untrusted",
      `${path} is signed with key ${fingerprint(key, signatures)}; this appliance believes ${known}.`,
      "Get the update from whom this appliance belongs to, or sign it with the owner's key.",
    );
  }
  if (!signatures.verify(key, signedPart(head), signature)) {
    throw new OperatingError("firmware.signature", `The signature of ${path} does not fit what it says.`, GET_AGAIN);
  }
  const manifest = decodeHead(head);
  if (typeof manifest === "string") throw unsoundUpdate(path, manifest);
  if (manifest.product !== PRODUCT) {
    throw new OperatingError(
      "firmware.product",
      `${path} is for ${JSON.stringify(manifest.product)}, and this appliance is ${JSON.stringify(PRODUCT)}.`,
      "Name an update file for this product.",
    );
  }
  return manifest;
}

function assertWhole(file: FileReader, path: string, { payloadBytes }: Manifest): void {
  const whole = HEAD_BYTES + payloadBytes;
  if (file.size < whole) throw truncated(path, whole, file.size);
  if (file.size > whole) {
    throw new OperatingError("firmware.damaged", `${path} has ${file.size - whole} bytes behind its end.`, GET_AGAIN);
  }
}

function truncated(path: string, whole: number, size: number): OperatingError {
  return new OperatingError("firmware.truncated", `${path} has ${size} bytes, and should have ${whole}.`, GET_AGAIN);
}

function unsoundUpdate(path: string, why: string): OperatingError {
  return new OperatingError(
    "firmware.unsound",
    `${path} is rightly signed, but not sound: ${why}.`,
    "Tell who made it; it has to be built and signed anew.",
  );
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
