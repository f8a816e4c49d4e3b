/** What tests of the firmware stand on: images small enough to look at, a machine with systemd-boot, and a FAT partition. */

import { MemoryFiles } from "../platform/memory/memory-files.ts";
import type { Hash, Signatures, Signer } from "../platform/signatures.ts";
import { Firmware } from "./firmware.ts";
import type { FormatsInUse } from "./formats.ts";
import { osReleaseOf } from "./uki.ts";
import { encodeHead, type Formats, type Manifest, PRODUCT, putSignature, signedPart } from "./update-file.ts";
import { parseVersion, type Version } from "./version.ts";

export const ESP = "/efi";
export const EFIVARS = "/efivars";
export const FOLDER = `${ESP}/EFI/Linux`;
export const OWNER_KEYS = "/owner.pem";
export const IMAGE_KEYS = "/image.pem";
export const FORMATS: Formats = {
  configuration: { reads: 3, writes: 2 },
  journal: { lowest: 1, highest: 2 },
  array: { lowest: 2, highest: 2 },
};
export const IN_USE: FormatsInUse = { configuration: 2, journals: [1], arrays: [2] };

export function version(text: string): Version {
  const parsed = parseVersion(text);
  if (parsed === undefined) throw new Error(`${text} is no version`);
  return parsed;
}

/** A PE file with one section, `.osrel`, and as many bytes of something as are asked for. */
export function ukiOf(
  text: string,
  { osRelease = osReleaseOf({ version: text as Version, formats: FORMATS }), filler = 64 } = {},
): Uint8Array {
  const release = new TextEncoder().encode(osRelease);
  const headers = 64 + 24 + 40;
  const bytes = new Uint8Array(headers + release.length + filler).fill(0xa5, headers + release.length);
  const view = new DataView(bytes.buffer);
  const put = (at: number, ascii: string) => bytes.set(new TextEncoder().encode(ascii), at);
  put(0, "MZ");
  view.setUint32(60, 64, true);
  put(64, "PE");
  view.setUint16(68, 0x8664, true);
  view.setUint16(70, 1, true);
  put(88, ".osrel");
  view.setUint32(96, release.length, true);
  view.setUint32(104, release.length, true);
  view.setUint32(108, headers, true);
  bytes.set(release, headers);
  return bytes;
}

/** An update file of a payload, signed, with what else a test wants its manifest to say. */
export function updateOf(
  payload: Uint8Array,
  text: string,
  signer: Signer,
  signatures: Signatures,
  other: Partial<Manifest> = {},
): Uint8Array {
  const manifest = {
    product: PRODUCT,
    version: text as Version,
    formats: FORMATS,
    payloadBytes: payload.length,
    payloadSha256: sha256(payload, signatures.sha256()),
    ...other,
  };
  const head = encodeHead(manifest, signer.key);
  putSignature(head, signer.sign(signedPart(head)));
  return Uint8Array.from([...head, ...payload]);
}

function sha256(bytes: Uint8Array, hash: Hash): Uint8Array {
  hash.update(bytes);
  return hash.digest();
}

/**
 * An EFI system partition, mounted so that each step of a change is durable before the next: a rename first makes the new name,
 * which leads to nothing yet, then has it lead to what the old one does, then takes that away. A power cut between leaves an
 * empty file beside the old one, or two names for the same clusters, until the partition is checked.
 */
export class FatFiles extends MemoryFiles {
  override async rename(from: string, to: string): Promise<void> {
    const content = this.contents.get(from);
    if (content === undefined) return super.rename(from, to);
    if (!this.contents.has(to)) await super.replace(to, new Uint8Array(0));
    await super.replace(to, content);
    await super.remove(from);
  }

  /** As fsck.vfat does it: the one of two names that it finds second is cut down to nothing. */
  check(second: 0 | 1): void {
    const names = [...this.contents.keys()].filter((path) => path.startsWith(`${FOLDER}/`)).sort();
    for (const [at, name] of names.entries()) {
      const twin = names.slice(at + 1).find((other) => this.#areTwins(name, other));
      if (twin !== undefined) this.contents.set(second === 0 ? name : twin, new Uint8Array(0));
    }
  }

  #areTwins(a: string, b: string): boolean {
    const [one = new Uint8Array(0), other = new Uint8Array(0)] = [this.contents.get(a), this.contents.get(b)];
    return one.length > 0 && Buffer.compare(one, other) === 0;
  }
}

/**
 * A machine that is started from what is in its files, by systemd-boot as its documentation and its source have it. Knows
 * nothing of the code under test: names are read in a way of its own.
 */
export class Machine {
  readonly files: MemoryFiles;
  readonly #works: (version: string) => boolean;
  readonly #early: () => void;
  /** The version in the image that was started last. */
  running = "";

  /** @param early what every version does first when it is started, whether or not it comes up then */
  constructor(files: MemoryFiles, works: (version: string) => boolean, early: () => void = () => {}) {
    this.files = files;
    this.#works = works;
    this.#early = early;
  }

  /** One start. @returns the version inside the image that was started */
  start(): string {
    const [entry] = this.#entries();
    if (entry === undefined) throw new Error("nothing can be started");
    this.#setVariable("LoaderEntrySelected", entry.file);
    const counted = `${entry.stem}+${Math.max(0, entry.left - 1)}-${entry.done + 1}.efi`;
    // Firmware refuses to rename a file onto another.
    if (entry.counted && !this.files.contents.has(`${FOLDER}/${counted}`)) {
      this.files.contents.set(`${FOLDER}/${counted}`, entry.content);
      this.files.contents.delete(`${FOLDER}/${entry.file}`);
      this.#setVariable("LoaderBootCountPath", `\\EFI\\Linux\\${counted}`);
    } else {
      this.files.contents.delete(variable("LoaderBootCountPath"));
    }
    this.running = entry.version;
    this.#early();
    return entry.version;
  }

  /** Starts until a version comes up, as the watchdog has it. @returns that version */
  comeUp(): string {
    for (let starts = 0; starts < 12; starts++) {
      const version = this.start();
      if (this.#works(version)) return version;
    }
    throw new Error("no version comes up");
  }

  #entries() {
    const entries = [...this.files.contents].flatMap(([path, content]) => {
      const file = path.slice(FOLDER.length + 1);
      if (!path.startsWith(`${FOLDER}/`) || !file.endsWith(".efi") || content.length === 0) return [];
      const [stem, count] = file.slice(0, -".efi".length).split("+");
      const [left, done = 0] = count === undefined ? [Number.POSITIVE_INFINITY] : count.split("-").map(Number);
      return [{ file, content, stem, counted: count !== undefined, left, done, version: versionInside(content) }];
    });
    return entries.sort(
      (a, b) =>
        Number(a.left === 0) - Number(b.left === 0) ||
        -a.version.localeCompare(b.version, "en", { numeric: true }) ||
        b.left - a.left ||
        a.done - b.done,
    );
  }

  #setVariable(name: string, value: string): void {
    this.files.contents.set(variable(name), variableOf(value));
  }
}

export function variable(name: string): string {
  return `${EFIVARS}/${name}-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f`;
}

/** A UEFI variable's text as the kernel gives it. */
export function variableOf(text: string): Uint8Array {
  const content = [...`${text}\0`].flatMap((character) => [character.charCodeAt(0), 0]);
  return Uint8Array.from([7, 0, 0, 0, ...content]);
}

function versionInside(image: Uint8Array): string {
  const [, version] = /IMAGE_VERSION=([0-9.]+)/.exec(new TextDecoder("latin1").decode(image)) ?? [];
  if (version === undefined) throw new Error("systemd-boot would start what is no image");
  return version;
}

/** Slots as files of these names, each with an image of the version in its name. */
export function putSlots(files: MemoryFiles, names: readonly string[]): void {
  for (const name of names) {
    const [, text = ""] = /_([0-9.]+?)(?:\+|\.efi)/.exec(name) ?? [];
    files.contents.set(`${FOLDER}/${name}`, ukiOf(text));
  }
}

export function firmwareOf(files: MemoryFiles, signatures: Signatures, inUse = IN_USE): Firmware {
  const places = { esp: ESP, efivars: EFIVARS, keys: { owner: OWNER_KEYS, image: IMAGE_KEYS } };
  return new Firmware({ files, signatures, clock: { wallClock: () => 1_790_000_000_000 } }, places, async () => inUse);
}
