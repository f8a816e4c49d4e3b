/** What every implementation of `Files` does, as cases that each of them runs in its own test. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Files } from "./files.ts";

export interface FilesFixture {
  readonly files: Files;
  /** An empty folder. */
  readonly folder: string;
  dispose(): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (content: Uint8Array | undefined) =>
  content === undefined ? undefined : new TextDecoder().decode(content);

export function filesCases(name: string, makeFixture: () => Promise<FilesFixture>): void {
  describe(`files: ${name}`, () => {
    let fixture: FilesFixture;
    let files: Files;
    const path = (file: string) => `${fixture.folder}/${file}`;

    beforeEach(async () => {
      fixture = await makeFixture();
      files = fixture.files;
    });
    afterEach(() => fixture.dispose());

    it("reads what was put there last, and nothing where nothing is", async () => {
      expect(await files.read(path("a"))).toBeUndefined();
      await files.replace(path("a"), bytes("one"));
      await files.replace(path("a"), bytes("two and more"));
      expect(text(await files.read(path("a")))).toBe("two and more");
    });

    it("makes a new file only where there is none, and leaves nothing else behind", async () => {
      const attempts = ["one", "two", "three"].map((each) => files.replace(path("a"), bytes(each), { isNew: true }));
      const results = await Promise.allSettled(attempts);
      const made = results.flatMap(({ status }, at) => (status === "fulfilled" ? [at] : []));
      expect(made).toHaveLength(1);
      for (const result of results) {
        if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "file.exists" });
      }
      await expect(files.replace(path("a"), bytes("four"), { isNew: true })).rejects.toMatchObject({
        code: "file.exists",
      });
      expect(["one", "two", "three"].indexOf(text(await files.read(path("a"))) ?? "")).toBe(made[0]);
      expect(await files.list(fixture.folder)).toEqual(["a"]);
    });

    it("lists a folder, whole files only, sorted", async () => {
      expect(await files.list(path("nowhere"))).toEqual([]);
      await files.makeFolder(path("deep/er"));
      await files.replace(path("deep/er/b"), bytes("b"));
      await files.replace(path("deep/er/a"), bytes("a"));
      expect(await files.list(path("deep/er"))).toEqual(["a", "b"]);
      expect(await files.list(path("deep"))).toEqual(["er"]);
    });

    it("renames over what is there, and removes what is not there without a word", async () => {
      await files.replace(path("a"), bytes("new"));
      await files.replace(path("b"), bytes("old"));
      await files.rename(path("a"), path("b"));
      expect(await files.list(fixture.folder)).toEqual(["b"]);
      expect(text(await files.read(path("b")))).toBe("new");
      await files.remove(path("b"));
      await files.remove(path("b"));
      expect(await files.list(fixture.folder)).toEqual([]);
    });

    it("writes and reads part by part", async () => {
      const writer = await files.create(path("long"));
      await writer.write(bytes("abc"));
      await writer.write(bytes("defg"));
      await writer.finish();
      const reader = await files.open(path("long"));
      expect(reader?.size).toBe(7);
      const into = new Uint8Array(3);
      await reader?.read(2, into);
      expect(text(into)).toBe("cde");
      await expect(reader?.read(5, into)).rejects.toMatchObject({ code: "file.failed" });
      await reader?.close();
      expect(await files.open(path("none"))).toBeUndefined();
    });

    it("leaves nothing of what was given up", async () => {
      const writer = await files.create(path("long"));
      await writer.write(bytes("abc"));
      await writer.discard();
      expect(await files.list(fixture.folder)).toEqual([]);
    });

    it("says how much room is left", async () => {
      expect(await files.room(fixture.folder)).toBeGreaterThan(0);
    });

    it("names the path of what fails", async () => {
      const failure = { code: "file.failed", what: expect.stringContaining(path("none")) };
      await expect(files.rename(path("none"), path("b"))).rejects.toMatchObject(failure);
    });
  });
}
