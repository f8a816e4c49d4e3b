/** Public keys as files hold them (PEM, one or more in a file) and as people compare them. */

import { OperatingError } from "../base/operating-error.ts";
import type { Files } from "../platform/files.ts";
import type { Signatures } from "../platform/signatures.ts";

/** What stands before the 32 bytes of an ed25519 public key in its DER form, RFC 8410. */
const SPKI_PREFIX = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00);
const KEY_BYTES = 32;
const FINGERPRINT_BYTES = 8;
const BLOCK = /-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----/g;

/**
 * The keys that this appliance believes. The owner's replace those of the image: where the owner's file is there,
 * it alone counts, and one that can't be used is an error, since damage must not bring back keys that were replaced.
 */
export async function trustedKeys(
  files: Files,
  paths: { readonly owner: string; readonly image: string },
): Promise<readonly Uint8Array[]> {
  const path = (await files.read(paths.owner)) === undefined ? paths.image : paths.owner;
  const content = await files.read(path);
  const keys = content === undefined ? [] : parsePublicKeys(new TextDecoder().decode(content));
  if (keys === undefined || keys.length === 0) {
    throw new OperatingError(
      "firmware.keys",
      `${path} has no ed25519 public key, or something else as well, so that no update can be believed.`,
      "Put the public key there that `antipode firmware keygen` made.",
    );
  }
  return keys;
}

/** @returns undefined where the text is anything but public keys of ed25519 */
export function parsePublicKeys(pem: string): readonly Uint8Array[] | undefined {
  if (pem.replace(BLOCK, "").trim() !== "") return undefined;
  const keys = Array.from(pem.matchAll(BLOCK), ([, base64]) => keyOf(base64));
  return keys.every((key) => key !== undefined) ? keys : undefined;
}

function keyOf(base64: string): Uint8Array | undefined {
  try {
    const der = Uint8Array.from(atob(base64.replace(/\s/g, "")), (character) => character.charCodeAt(0));
    const isEd25519 =
      der.length === SPKI_PREFIX.length + KEY_BYTES && SPKI_PREFIX.every((byte, at) => der[at] === byte);
    return isEd25519 ? der.subarray(SPKI_PREFIX.length) : undefined;
  } catch {
    return undefined;
  }
}

/** Sixteen hexadecimal digits by which people tell keys apart. */
export function fingerprint(key: Uint8Array, signatures: Signatures): string {
  const hash = signatures.sha256();
  hash.update(key);
  return hex(hash.digest().subarray(0, FINGERPRINT_BYTES));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
