/**
 * The head of an update file: 512 bytes that say what the file is for, and the signature over them. The unified kernel
 * image (UKI) follows, whose size and SHA-256 the head has, and nothing after it: so every byte of the file is vouched for.
 *
 * Nothing of a head is believed before its signature is verified, but for the format version and the key that it names.
 */

import { assert } from "../base/assert.ts";
import { layout, raw, text, u16, u32, u64 } from "../base/layout.ts";
import { parseVersion, type Version } from "./version.ts";

export const FORMAT_VERSION = 1;
/** What these updates are for: an appliance of another product or processor refuses them. */
export const PRODUCT = "antipode x86-64";
/** No UKI comes near it; a head that says more is unsound. */
export const PAYLOAD_BYTES_MAX = 512 * 1024 * 1024;

const MAGIC = new TextEncoder().encode("ANTPFRMW");

/** The first two fields keep their places in every version, so that a newer file is told from a foreign one. */
export const Head = layout("update file head", 512, {
  magic: [0, raw(8)],
  formatVersion: [8, u32],
  reserved: [12, raw(4)],
  product: [16, text(32)],
  version: [48, text(32)],
  /** The highest configuration format that this firmware reads; it reads all below. */
  configurationReads: [80, u16],
  configurationWrites: [82, u16],
  /** Formats of the journal and of arrays' superblocks that it reads: all from the lowest to the highest. */
  journalLowest: [84, u16],
  journalHighest: [86, u16],
  arrayLowest: [88, u16],
  arrayHighest: [90, u16],
  reservedFormats: [92, raw(4)],
  payloadBytes: [96, u64],
  payloadSha256: [104, raw(32)],
  reservedTail: [136, raw(280)],
  /** The public key of who signed it. */
  key: [416, raw(32)],
  /** ed25519 over all bytes before it. */
  signature: [448, raw(64)],
});

export const HEAD_BYTES = Head.size;
const SIGNED_BYTES = Head.signature.offset;

export interface FormatRange {
  readonly lowest: number;
  readonly highest: number;
}

/** Formats that a firmware can work with. */
export interface Formats {
  readonly configuration: { readonly reads: number; readonly writes: number };
  readonly journal: FormatRange;
  readonly array: FormatRange;
}

export interface Manifest {
  readonly product: string;
  readonly version: Version;
  readonly formats: Formats;
  readonly payloadBytes: number;
  readonly payloadSha256: Uint8Array;
}

/** A head without its signature, to be signed. */
export function encodeHead(manifest: Manifest, key: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES);
  const view = new DataView(bytes.buffer);
  const { configuration, journal, array } = manifest.formats;
  Head.magic.set(view, 0, MAGIC);
  Head.formatVersion.set(view, 0, FORMAT_VERSION);
  Head.product.set(view, 0, manifest.product);
  Head.version.set(view, 0, manifest.version);
  Head.configurationReads.set(view, 0, configuration.reads);
  Head.configurationWrites.set(view, 0, configuration.writes);
  Head.journalLowest.set(view, 0, journal.lowest);
  Head.journalHighest.set(view, 0, journal.highest);
  Head.arrayLowest.set(view, 0, array.lowest);
  Head.arrayHighest.set(view, 0, array.highest);
  Head.payloadBytes.set(view, 0, manifest.payloadBytes);
  Head.payloadSha256.set(view, 0, manifest.payloadSha256);
  Head.key.set(view, 0, key);
  return bytes;
}

/** The part of a head that is signed. */
export function signedPart(head: Uint8Array): Uint8Array {
  assert(head.length === HEAD_BYTES, "a head has one size");
  return head.subarray(0, SIGNED_BYTES);
}

export function putSignature(head: Uint8Array, signature: Uint8Array): void {
  Head.signature.set(new DataView(head.buffer, head.byteOffset, head.length), 0, signature);
}

/** @returns the file's format version; undefined where it is no update file */
export function formatVersionOf(head: Uint8Array): number | undefined {
  if (head.length < MAGIC.length + 4 || !MAGIC.every((byte, at) => head[at] === byte)) return undefined;
  return Head.formatVersion.get(new DataView(head.buffer, head.byteOffset, head.length), 0);
}

export function signatureOf(head: Uint8Array): { readonly key: Uint8Array; readonly signature: Uint8Array } {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  return { key: Head.key.get(view, 0), signature: Head.signature.get(view, 0) };
}

/** @returns what the head says, or what is unsound in it. Its signature has been verified. */
export function decodeHead(head: Uint8Array): Manifest | string {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const version = parseVersion(Head.version.get(view, 0));
  if (version === undefined) return "its version is not MAJOR.MINOR.PATCH";
  const formats: Formats = {
    configuration: { reads: Head.configurationReads.get(view, 0), writes: Head.configurationWrites.get(view, 0) },
    journal: { lowest: Head.journalLowest.get(view, 0), highest: Head.journalHighest.get(view, 0) },
    array: { lowest: Head.arrayLowest.get(view, 0), highest: Head.arrayHighest.get(view, 0) },
  };
  const { configuration, journal, array } = formats;
  if (configuration.writes > configuration.reads) return "it would write configurations that it can't read";
  if (journal.lowest > journal.highest || array.lowest > array.highest) return "a range of its formats is empty";
  const payloadBytes = Head.payloadBytes.get(view, 0);
  if (!(payloadBytes > 0 && payloadBytes <= PAYLOAD_BYTES_MAX)) return "the size of its image is out of range";
  const payloadSha256 = Head.payloadSha256.get(view, 0).slice();
  return { product: Head.product.get(view, 0), version, formats, payloadBytes, payloadSha256 };
}
