/**
 * A real file system through the whole system: copied to the LUN and back by programs that nobody here wrote, found
 * identical at every site, damaged on drives, and got back from each remote site alone.
 */

import { createHash } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ALL_IDENTICAL, MiB, PRIMARY, type SiteName, STORING, System, succeed, until, VOLUME } from "./harness.ts";
import { randomFrom } from "./stamped-load.ts";

const IMAGE_BYTES = 256 * MiB;
const FOLDERS = 60;
const FILES_PER_FOLDER = 50;
const FILE_BYTES_MAX = 40_000;
const BLOCK = 4096;
const TOOL_DEADLINE_MS = 120_000;

let system: System;
let image: string;

beforeAll(async () => {
  system = await System.create({ sizeBytes: IMAGE_BYTES, journalBytes: 128 * MiB });
  image = join(system.dir, "image");
  await makeFileSystem();
  await system.start();
});
afterAll(() => system?.close());

/** An ext4 with some thousand files of data that does not repeat. */
async function makeFileSystem(): Promise<void> {
  const random = randomFrom(4711);
  const tree = join(system.dir, "tree");
  for (let folder = 0; folder < FOLDERS; folder++) {
    const path = join(tree, `folder-${folder}`);
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < FILES_PER_FOLDER; file++) {
      const words = new Uint32Array(Math.floor((random() * FILE_BYTES_MAX) / 4));
      for (let at = 0; at < words.length; at++) words[at] = random() * 2 ** 32;
      writeFileSync(join(path, `file-${file}`), words);
    }
  }
  await succeed("mkfs.ext4", ["-q", "-F", "-d", tree, image, `${IMAGE_BYTES / MiB}M`], TOOL_DEADLINE_MS);
  rmSync(tree, { recursive: true });
}

const fsck = (file: string) => succeed("e2fsck", ["-f", "-n", file], TOOL_DEADLINE_MS);
const hashOf = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");

/** The hashes of all that a site keeps: its drives, its journal, and what hosts have reserved. */
function hashesOf(name: SiteName): Record<string, string> {
  const folder = join(system.dir, name);
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    entries.map(({ parentPath, name }) => [join(parentPath, name), hashOf(join(parentPath, name))]),
  );
}

/** A block of the image that is there only once, as blocks of files are: its offset and content. */
function fileBlock(): { offset: number; content: Buffer } {
  const content = readFileSync(image);
  for (let offset = 64 * MiB - ((64 * MiB) % BLOCK); offset < content.length; offset += BLOCK) {
    const block = content.subarray(offset, offset + BLOCK);
    const words = new Set(new Uint32Array(block.buffer, block.byteOffset, BLOCK / 4));
    if (words.size > 1000) return { offset, content: Buffer.from(block) };
  }
  throw new Error("the image has no block of random data");
}

/** Flips one bit of a block on one drive of a site. @returns whether the drive holds the right byte by now */
function damage(name: SiteName, content: Buffer): () => boolean {
  const folder = join(system.dir, name);
  const drives = readdirSync(folder).filter((file) => file.startsWith("drive-"));
  const found = drives.flatMap((drive) => {
    const path = join(folder, drive);
    const at = readFileSync(path).indexOf(content);
    return at < 0 ? [] : [{ path, at }];
  });
  if (found.length === 0) throw new Error(`no drive of ${name} holds the block`);
  const { path, at } = found[0];
  const file = openSync(path, "r+");
  writeSync(file, Uint8Array.of(content[0] ^ 1), 0, 1, at);
  closeSync(file);
  return () => byteRange(path, at, 1)[0] === content[0];
}

/** Errors of this kind that a site's arrays have counted since it was started. */
async function checksumErrors(name: SiteName): Promise<number> {
  const { arrays } = await system.site(name).status();
  return arrays.flatMap(({ members }) => members).reduce((sum, { errors }) => sum + errors.checksum, 0);
}

function byteRange(file: string, offset: number, bytes: number): Buffer {
  const into = Buffer.alloc(bytes);
  const opened = openSync(file, "r");
  readSync(opened, into, 0, bytes, offset);
  closeSync(opened);
  return into;
}

async function restart(name: SiteName, whileDown: () => void): Promise<void> {
  await system.settle();
  await system.site(name).stop();
  whileDown();
  system.site(name).start();
  await system.untilWhole();
}

describe("a file system of a few thousand files", () => {
  it("is copied to the LUN and reads back the same", async () => {
    // Where the image has zeros there must be zeros afterwards, so something else is there before.
    const dirt = `write -P 0xee ${IMAGE_BYTES - 64 * MiB} 48M`;
    await succeed("qemu-io", ["-f", "raw", "-c", dirt, system.url], TOOL_DEADLINE_MS);
    await succeed("qemu-img", ["convert", "-n", "-f", "raw", "-O", "raw", image, system.url], TOOL_DEADLINE_MS);
    const compared = await succeed(
      "qemu-img",
      ["compare", "-f", "raw", "-F", "raw", image, system.url],
      TOOL_DEADLINE_MS,
    );
    expect(compared).toContain("Images are identical");
    const back = join(system.dir, "back");
    await succeed("qemu-img", ["convert", "-f", "raw", "-O", "raw", system.url, back], TOOL_DEADLINE_MS);
    expect(hashOf(back)).toBe(hashOf(image));
    await fsck(back);
    rmSync(back);
  });

  it("is found identical at every site", async () => {
    const { exitCode, verdicts } = await system.verify();
    expect(verdicts).toEqual(ALL_IDENTICAL);
    expect(exitCode).toBe(0);
    const { code, stdout } = await system.ctl(["verify"], TOOL_DEADLINE_MS);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {2}boston +identical$/m);
  });

  it.each(["boulder", "springs", PRIMARY] as const)(
    "is whole although a byte rots on a drive of %s, whose array is redundant",
    async (name) => {
      const { offset, content } = fileBlock();
      let healed = () => false;
      await restart(name, () => {
        healed = damage(name, content);
      });
      expect(healed()).toBe(false);
      expect((await system.verify()).verdicts).toEqual(ALL_IDENTICAL);
      // A mirror may have read the other copy only.
      if (name !== "springs") {
        expect(await checksumErrors(name)).toBeGreaterThan(0);
        await until("the drive holds the right byte again", 10_000, healed);
      }
      const read = join(system.dir, "read");
      await succeed("qemu-img", ["convert", "-f", "raw", "-O", "raw", system.url, read], TOOL_DEADLINE_MS);
      expect(byteRange(read, offset, BLOCK).equals(content)).toBe(true);
      rmSync(read);
    },
  );

  it("is not said to be identical at a site without redundancy where a byte rots, nor exported from it", async () => {
    const { offset, content } = fileBlock();
    await restart("boston", () => damage("boston", content));
    const { exitCode, verdicts } = await system.verify();
    expect(exitCode).toBe(4);
    expect(["different", "unknown"]).toContain(verdicts.get("boston"));
    expect(verdicts).toEqual(new Map([...ALL_IDENTICAL, ["boston", verdicts.get("boston")]]));
    // People are told which block it is.
    const { stdout } = await system.ctl(["verify"], TOOL_DEADLINE_MS);
    expect(stdout).toMatch(new RegExp(`^ {2}boston +(DIFFERENT|UNKNOWN)\\b.*\\b${offset / BLOCK}\\b`, "m"));

    await system.settle();
    await system.site("boston").stop();
    const file = join(system.dir, "rotten");
    const exported = await system.inspect("boston", ["--volume", VOLUME, "--export", file]);
    expect(exported.code).toBe(3);
    expect(exported.stderr).toContain(`block ${offset / BLOCK} of volume ${VOLUME} cannot be read`);
    rmSync(file, { force: true });
    system.site("boston").start();
    await system.untilWhole();

    // The rotten block is whole again once the host writes it.
    const block = join(system.dir, "block");
    writeFileSync(block, content);
    await succeed("qemu-io", ["-f", "raw", "-c", `write -s ${block} ${offset} ${BLOCK}`, system.url], TOOL_DEADLINE_MS);
    await system.settle();
    expect((await system.verify()).verdicts).toEqual(ALL_IDENTICAL);
  });

  it("is exported from each site alone, byte for byte, by reading only", async () => {
    await system.settle();
    await system.stop();
    for (const name of STORING) {
      const before = hashesOf(name);
      const file = await system.exportVolume(name, TOOL_DEADLINE_MS);
      expect(hashOf(file), name).toBe(hashOf(image));
      await fsck(file);
      expect(hashesOf(name), name).toEqual(before);
      rmSync(file);
    }
  });

  it("is not exported over a file that is there, nor from a site that runs", async () => {
    await expect(system.exportVolume("relay-east")).rejects.toThrow(/stores no volume/);
    const file = join(system.dir, "precious");
    writeFileSync(file, "precious");
    const refused = await system.inspect("boston", ["--volume", VOLUME, "--export", file]);
    expect(refused.code).toBe(3);
    expect(readFileSync(file, "utf8")).toBe("precious");
    await system.start();
    const busy = await system.inspect("boston");
    expect(busy.code).toBe(3);
    expect(busy.stderr).toMatch(/in use|running|use by/i);
  });
});
