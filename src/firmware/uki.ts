/**
 * What a unified kernel image says that it is: the os-release in its `.osrel` section.
 *
 * systemd-boot orders images by that before it looks at their names, so an image whose inside names another version would
 * upset the order of slots. And whatever slot an image is in, it says which formats it can work with: going back to it is
 * judged by that.
 */

import { layout, raw, text, u16, u32 } from "../base/layout.ts";
import type { FileReader } from "../platform/files.ts";
import type { Formats } from "./update-file.ts";
import { parseVersion, type Version } from "./version.ts";

/** By which systemd-boot keeps the images of one system together. */
const SORT_KEY = "antipode";

const DosHeader = layout("DOS header", 64, { magic: [0, text(2)], reserved: [2, raw(58)], peOffset: [60, u32] });
const PeHeader = layout("PE header", 24, {
  signature: [0, text(4)],
  machine: [4, u16],
  sections: [6, u16],
  reserved: [8, raw(12)],
  optionalHeaderBytes: [20, u16],
  characteristics: [22, u16],
});
const Section = layout("PE section", 40, {
  name: [0, text(8)],
  virtualBytes: [8, u32],
  virtualAddress: [12, u32],
  fileBytes: [16, u32],
  fileOffset: [20, u32],
  reserved: [24, raw(16)],
});

const MACHINE_X86_64 = 0x8664;
/** Real ones have a dozen sections and some hundred bytes of os-release. */
const SECTIONS_MAX = 96;
const OS_RELEASE_BYTES_MAX = 64 * 1024;

/** Keys of an os-release that are ours. */
const CONFIGURATION_READS = "ANTIPODE_CONFIGURATION_READS";
const CONFIGURATION_WRITES = "ANTIPODE_CONFIGURATION_WRITES";
const JOURNAL_FORMATS = "ANTIPODE_JOURNAL_FORMATS";
const ARRAY_FORMATS = "ANTIPODE_ARRAY_FORMATS";

export interface UkiRelease {
  readonly version: Version;
  readonly formats: Formats;
}

/** The os-release that an image of this release has to have; the image may add more to it. */
export function osReleaseOf({ version, formats: { configuration, journal, array } }: UkiRelease): string {
  const lines = [
    "NAME=Antipode",
    `PRETTY_NAME="Antipode ${version}"`,
    `ID=${SORT_KEY}`,
    `IMAGE_ID=${SORT_KEY}`,
    `IMAGE_VERSION=${version}`,
    `${CONFIGURATION_READS}=${configuration.reads}`,
    `${CONFIGURATION_WRITES}=${configuration.writes}`,
    `${JOURNAL_FORMATS}=${journal.lowest}-${journal.highest}`,
    `${ARRAY_FORMATS}=${array.lowest}-${array.highest}`,
  ];
  return `${lines.join("\n")}\n`;
}

/** @returns what the image at `offset` in the file is, or why it can't be in a slot */
export async function readUki(file: FileReader, offset: number): Promise<UkiRelease | string> {
  const release = await osRelease(file, offset);
  if (release === undefined) return "it is no unified kernel image for x86-64 with an os-release";
  // systemd-boot takes the first of these that is there.
  const sortKey = release.get("IMAGE_ID") ?? release.get("ID");
  if (sortKey !== SORT_KEY) return `its os-release has IMAGE_ID ${sortKey ?? "missing"} in the place of ${SORT_KEY}`;
  const key = ["IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID"].find((name) => release.has(name)) ?? "";
  const version = parseVersion(release.get(key) ?? "");
  if (version === undefined) return "its os-release has no version that is MAJOR.MINOR.PATCH";
  const reads = numbersOf(release.get(CONFIGURATION_READS), 1);
  const writes = numbersOf(release.get(CONFIGURATION_WRITES), 1);
  const journal = numbersOf(release.get(JOURNAL_FORMATS), 2);
  const array = numbersOf(release.get(ARRAY_FORMATS), 2);
  if (reads === undefined || writes === undefined || journal === undefined || array === undefined) {
    return "its os-release does not say which formats it can work with";
  }
  return {
    version,
    formats: {
      configuration: { reads: reads[0], writes: writes[0] },
      journal: { lowest: journal[0], highest: journal[1] },
      array: { lowest: array[0], highest: array[1] },
    },
  };
}

/** Numbers of up to 16 bits with `-` between them. */
function numbersOf(value: string | undefined, count: number): readonly number[] | undefined {
  if (value === undefined || !/^\d{1,5}(?:-\d{1,5})*$/.test(value)) return undefined;
  const numbers = value.split("-").map(Number);
  return numbers.length === count && numbers.every((number) => number <= 0xffff) ? numbers : undefined;
}

async function osRelease(file: FileReader, offset: number): Promise<Map<string, string> | undefined> {
  const read = async (at: number, bytes: number): Promise<DataView | undefined> => {
    if (offset + at + bytes > file.size) return undefined;
    const into = new Uint8Array(bytes);
    await file.read(offset + at, into);
    return new DataView(into.buffer);
  };
  const dos = await read(0, DosHeader.size);
  if (dos === undefined || DosHeader.magic.get(dos, 0) !== "MZ") return undefined;
  const peAt = DosHeader.peOffset.get(dos, 0);
  const pe = await read(peAt, PeHeader.size);
  if (pe === undefined || PeHeader.signature.get(pe, 0) !== "PE") return undefined;
  if (PeHeader.machine.get(pe, 0) !== MACHINE_X86_64) return undefined;
  const count = Math.min(PeHeader.sections.get(pe, 0), SECTIONS_MAX);
  const table = await read(peAt + PeHeader.size + PeHeader.optionalHeaderBytes.get(pe, 0), count * Section.size);
  if (table === undefined) return undefined;
  for (let at = 0; at < count * Section.size; at += Section.size) {
    if (Section.name.get(table, at) !== ".osrel") continue;
    const bytes = Math.min(Section.virtualBytes.get(table, at), Section.fileBytes.get(table, at), OS_RELEASE_BYTES_MAX);
    const content = await read(Section.fileOffset.get(table, at), bytes);
    return content === undefined ? undefined : parseOsRelease(new TextDecoder().decode(content));
  }
  return undefined;
}

function parseOsRelease(content: string): Map<string, string> {
  const [lines] = content.split("\0");
  const pairs = Array.from(lines.matchAll(/^\s*([A-Z_0-9]+)=(.*?)\s*$/gm), ([, key, value]): [string, string] => [
    key,
    value.replace(/^(["'])(.*)\1$/, "$2"),
  ]);
  return new Map(pairs);
}
