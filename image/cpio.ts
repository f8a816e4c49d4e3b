/**
 * The initramfs as an archive: cpio's "newc" form, of the kernel's Documentation/driver-api/early-userspace/buffer-format.
 * Entries are in order of their paths, belong to root and carry no time, so that the same tree is the same bytes.
 */

export type Entry =
  | { readonly kind: "folder"; readonly mode?: number }
  | { readonly kind: "file"; readonly content: Uint8Array; readonly mode?: number }
  | { readonly kind: "link"; readonly to: string }
  | { readonly kind: "device"; readonly major: number; readonly minor: number; readonly mode?: number };

const FOLDER = 0o040000;
const FILE = 0o100000;
const LINK = 0o120000;
const CHARACTER_DEVICE = 0o020000;
const ALIGNMENT = 4;
const TRAILER = "TRAILER!!!";

/** A tree of files; the folders above an entry are there with it. */
export class Tree {
  readonly #entries = new Map<string, Entry>();

  /** @param path from the root, without a '/' in front */
  add(path: string, entry: Entry): void {
    const above = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
    if (above !== "" && !this.#entries.has(above)) this.add(above, { kind: "folder" });
    const there = this.#entries.get(path);
    if (there !== undefined && !(there.kind === "folder" && entry.kind === "folder")) {
      throw new Error(`${path} is in the tree twice`);
    }
    this.#entries.set(path, entry);
  }

  entry(path: string): Entry | undefined {
    return this.#entries.get(path);
  }

  paths(): readonly string[] {
    return [...this.#entries.keys()].sort();
  }

  archive(): Uint8Array {
    const parts: Uint8Array[] = [];
    for (const [at, path] of this.paths().entries()) {
      const entry = this.#entries.get(path);
      if (entry !== undefined) parts.push(...member(path, at + 1, entry));
    }
    parts.push(...record(TRAILER, { number: 0, mode: 0, links: 1, data: new Uint8Array() }));
    return Buffer.concat(parts);
  }
}

interface Fields {
  readonly number: number;
  readonly mode: number;
  readonly links: number;
  readonly data: Uint8Array;
  readonly device?: { readonly major: number; readonly minor: number };
}

function member(path: string, number: number, entry: Entry): readonly Uint8Array[] {
  const data = new Uint8Array();
  switch (entry.kind) {
    case "folder":
      return record(path, { number, mode: FOLDER | (entry.mode ?? 0o755), links: 2, data });
    case "file":
      return record(path, { number, mode: FILE | (entry.mode ?? 0o644), links: 1, data: entry.content });
    case "link":
      return record(path, { number, mode: LINK | 0o777, links: 1, data: new TextEncoder().encode(entry.to) });
    case "device":
      return record(path, { number, mode: CHARACTER_DEVICE | (entry.mode ?? 0o600), links: 1, data, device: entry });
  }
}

function record(path: string, { number, mode, links, data, device }: Fields): readonly Uint8Array[] {
  const name = new TextEncoder().encode(`${path}\0`);
  const words = [
    number,
    mode,
    0,
    0,
    links,
    0,
    data.length,
    0,
    0,
    device?.major ?? 0,
    device?.minor ?? 0,
    name.length,
    0,
  ];
  const header = new TextEncoder().encode(`070701${words.map((word) => word.toString(16).padStart(8, "0")).join("")}`);
  return [header, name, padding(header.length + name.length), data, padding(data.length)];
}

function padding(length: number): Uint8Array {
  return new Uint8Array((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}
