/**
 * Signatures of UEFI Secure Boot: a program that carries one is started by machines whose firmware has the owner's
 * certificate. The private key is only read here, and stays where it is.
 *
 * A signature carries the time at which it was made, so signed images are not the same bytes when they are built again.
 */

import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { BuildError, run } from "./run.ts";

/** Files in PEM. */
export interface SecureBootKeys {
  readonly key: string;
  readonly certificate: string;
}

/** Throws `BuildError` where the two do not belong together, before anything has been built. */
export function secureBootKeys(key: string | undefined, certificate: string | undefined): SecureBootKeys | undefined {
  if (key === undefined && certificate === undefined) return undefined;
  if (key === undefined || certificate === undefined) {
    throw new BuildError("--secure-boot-key and --secure-boot-certificate are given together, or neither is");
  }
  const { publicKey } = certificateOf(certificate);
  if (publicKey.asymmetricKeyType !== "rsa") {
    throw new BuildError(`${certificate} is not for an RSA key, which is the kind that every firmware takes`);
  }
  const pem = readPem(key);
  // sbsign asks for the passphrase of one that is encrypted, and sees by itself whether it belongs to the certificate.
  if (!pem.includes("ENCRYPTED") && !publicKey.equals(publicKeyOf(key, pem))) {
    throw new BuildError(`${certificate} is not for the key in ${key}`);
  }
  return { key, certificate };
}

function certificateOf(path: string): X509Certificate {
  const pem = readPem(path);
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new BuildError(`${path} has no certificate: ${reasonOf(error)}`);
  }
}

function publicKeyOf(path: string, pem: Buffer): KeyObject {
  try {
    // Of a private key only: this refuses what is a public one already.
    return createPublicKey(createPrivateKey(pem));
  } catch (error) {
    throw new BuildError(`${path} has no key: ${reasonOf(error)}`);
  }
}

/** Signs a program for UEFI, and has the signature checked against the certificate. */
export function signProgram({ key, certificate }: SecureBootKeys, from: string, to: string): void {
  run("sbsign", ["--key", key, "--cert", certificate, "--output", to, from]);
  run("sbverify", ["--cert", certificate, to]);
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new BuildError(reasonOf(error));
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
