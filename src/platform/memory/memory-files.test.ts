import { expect, it } from "vitest";
import { filesCases } from "../files.cases.ts";
import { MemoryFiles } from "./memory-files.ts";

filesCases("memory", async () => ({
  files: new MemoryFiles(),
  folder: "/folder",
  dispose: async () => {},
}));

it("leaves what was there when the power is cut, and has no more room than it was given", async () => {
  const files = new MemoryFiles();
  await files.replace("/a", Uint8Array.of(1));
  files.cutAfter(0);
  await expect(files.replace("/a", Uint8Array.of(2))).rejects.toMatchObject({ code: "file.failed" });
  files.restore();
  expect(await files.read("/a")).toEqual(Uint8Array.of(1));
  files.capacity = 3;
  await expect(files.replace("/b", new Uint8Array(3))).rejects.toMatchObject({ code: "file.failed" });
});
