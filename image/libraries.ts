/**
 * What the image's programs are linked with, read from their ELF headers (elf(5)), and whether all of it is in the image:
 * a program whose library is missing would only be found out when it is started.
 */

import type { Tree } from "./cpio.ts";

/** Where the loader looks. */
export const LIBRARY_FOLDER = "lib/x86_64-linux-gnu";

const LOADER_FOLDER = "lib64";

const MAGIC = "\x7fELF";
/** Offsets in the header of a 64-bit file: where the program headers are, how long each is, and how many there are. */
const PROGRAM_HEADERS = { at: 32, bytes: 54, count: 56 } as const;
/** Offsets in a program header. */
const Segment = { type: 0, offset: 8, address: 16, fileBytes: 32 } as const;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
/** Tags of entries of the dynamic segment, each of which is a tag and a value of 8 bytes. */
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DYNAMIC_ENTRY_BYTES = 16;

/** @returns names of libraries, and the path of the loader as the program has it; none for what is no such program */
export function linkedWith(content: Uint8Array): { readonly loader?: string; readonly libraries: readonly string[] } {
  const file = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  if (file.toString("latin1", 0, MAGIC.length) !== MAGIC) return { libraries: [] };
  const number = (at: number) => Number(file.readBigUInt64LE(at));
  const text = (at: number) => file.toString("latin1", at, file.indexOf(0, at));

  const bytes = file.readUInt16LE(PROGRAM_HEADERS.bytes);
  const segments = Array.from({ length: file.readUInt16LE(PROGRAM_HEADERS.count) }, (_, index) => {
    const at = number(PROGRAM_HEADERS.at) + index * bytes;
    const [offset, address, length] = [Segment.offset, Segment.address, Segment.fileBytes].map((field) =>
      number(at + field),
    );
    return { type: file.readUInt32LE(at + Segment.type), offset, address, length };
  });
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  const entries = Array.from({ length: (dynamic?.length ?? 0) / DYNAMIC_ENTRY_BYTES }, (_, index) => {
    const at = (dynamic?.offset ?? 0) + index * DYNAMIC_ENTRY_BYTES;
    return { tag: number(at), value: number(at + 8) };
  });
  const names = entries.find(({ tag }) => tag === DT_STRTAB)?.value ?? 0;
  // The dynamic segment has addresses in memory; the file has what is loaded there.
  const loaded = segments.find(
    ({ type, address, length }) => type === PT_LOAD && names >= address && names < address + length,
  );
  const namesAt = loaded === undefined ? 0 : names - loaded.address + loaded.offset;
  return {
    loader: interpreter === undefined ? undefined : text(interpreter.offset),
    libraries: entries.filter(({ tag }) => tag === DT_NEEDED).map(({ value }) => text(namesAt + value)),
  };
}

/** @returns a line for each library or loader that a program in the tree needs and that the tree does not have */
export function missingLibraries(tree: Tree): readonly string[] {
  const there = new Set(tree.paths());
  return tree.paths().flatMap((path) => {
    const entry = tree.entry(path);
    if (entry?.kind !== "file") return [];
    const { loader, libraries } = linkedWith(entry.content);
    // The loader is a library, too, and there before all others.
    const needed = libraries.map(
      (name) => `${there.has(`${LOADER_FOLDER}/${name}`) ? LOADER_FOLDER : LIBRARY_FOLDER}/${name}`,
    );
    if (loader !== undefined) needed.push(loader.replace(/^\//, ""));
    return needed.filter((name) => !there.has(name)).map((name) => `${path} needs ${name}`);
  });
}
