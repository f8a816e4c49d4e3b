/** ed25519 and SHA-256 as the runtime has them. Private keys pass through here, and are kept nowhere. */

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";
import { OperatingError } from "../../base/operating-error.ts";
import type { Signatures, Signer } from "../signatures.ts";

/** What stands before the 32 bytes of an ed25519 public key in its DER form, RFC 8410. */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

export const linuxSignatures: Signatures = {
  verify(key, message, signature) {
    const der = Buffer.concat([SPKI_PREFIX, key]);
    return verify(null, message, createPublicKey({ key: der, format: "der", type: "spki" }), signature);
  },
  sha256() {
    const hash = createHash("sha256");
    return { update: (part) => void hash.update(part), digest: () => new Uint8Array(hash.digest()) };
  },
};

/** @param pem a private key as `makeKeyPair` and `openssl genpkey -algorithm ed25519` make it; `path` names it in errors */
export function signerOf(pem: string, path: string): Signer {
  const key = privateKeyOf(pem, path);
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return {
    key: new Uint8Array(spki.subarray(SPKI_PREFIX.length)),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  };
}

function privateKeyOf(pem: string, path: string) {
  const remedy = "Name a PEM file that `antipode firmware keygen` made.";
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch (cause) {
    throw new OperatingError("firmware.private-key", `${path} is no private key that can be read.`, remedy, { cause });
  }
  throw new OperatingError("firmware.private-key", `${path} is a private key, but not an ed25519 one.`, remedy);
}

/** A new key pair, in PEM. */
export function makeKeyPair(): { readonly privateKey: string; readonly publicKey: string } {
  return generateKeyPairSync("ed25519", {
    privateKeyEncoding: { format: "pem", type: "pkcs8" },
    publicKeyEncoding: { format: "pem", type: "spki" },
  });
}
