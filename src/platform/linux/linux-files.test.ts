import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { filesCases } from "../files.cases.ts";
import { linuxFiles } from "./linux-files.ts";

async function fixture() {
  const folder = mkdtempSync(join(tmpdir(), "files-"));
  return { files: linuxFiles(), folder, dispose: async () => rmSync(folder, { recursive: true }) };
}

filesCases("Linux", fixture);

it("lets only the owner read a file, unless told otherwise", async () => {
  const { files, folder, dispose } = await fixture();
  await files.replace(join(folder, "secret"), new Uint8Array(1));
  await files.replace(join(folder, "public"), new Uint8Array(1), { isPublic: true });
  expect(statSync(join(folder, "secret")).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, "public")).mode & 0o777).toBe(0o644);
  await dispose();
});
