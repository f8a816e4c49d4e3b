/** The package alone, as its README has it: without the rest of the product. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { qemuIo, tool } from "./initiator.ts";
import { parseSuite } from "./suite-result.ts";
import { freePorts, type Running, Workbench } from "./workbench.ts";

const PACKAGE = join(import.meta.dirname, "../../src/iscsi");
const README = readFileSync(join(PACKAGE, "README.md"), "utf8");
const TARGET = "iqn.2026-11.com.example:memory";
const PORT = /port: \d+/;
const BUFFER = /new BufferDevice\(.*\)\)/;

let bench: Workbench;
beforeEach(() => {
  bench = new Workbench();
});
afterEach(() => bench.close());

/** Runs the README's example, on another port, and says so. */
async function runExample(change: (example: string) => string = (example) => example): Promise<string> {
  const [, example] = /```ts\n(.*?)```/s.exec(README) ?? [];
  expect(example).toMatch(PORT);
  const [port] = await freePorts(1);
  const source = change(example)
    .replace(PORT, `port: ${port}`)
    .replace('"node-iscsi-target"', JSON.stringify(join(PACKAGE, "index.ts")))
    .replace('"node-iscsi-target/bun"', JSON.stringify(join(PACKAGE, "bun/index.ts")));
  const program: Running = bench.start(process.execPath, [bench.write("example.ts", `${source}\nconsole.log("up");`)]);
  await program.says("up");
  return `iscsi://127.0.0.1:${port}/${TARGET}/0`;
}

it("exports a buffer, as the README says", async () => {
  const url = await runExample();
  expect(await tool(bench, "iscsi-inq", url)).toContain("Vendor:EXAMPLE");
  await qemuIo(bench, url, "write -P 0x5a 1M 64k", "read -P 0x5a 1M 64k", "read -P 0 2M 16k");
  const result = parseSuite(await tool(bench, "iscsi-test-cu", "--test", "ALL.Read10", url));
  expect(result.failedSuites).toBe(0);
  expect(result.ran).toBe(result.total);
});

it("exports a file instead, and what was written is in it", async () => {
  const path = bench.path("disk.img");
  writeFileSync(path, new Uint8Array(8 * 1024 * 1024));
  const url = await runExample((example) => {
    expect(example).toMatch(BUFFER);
    return example
      .replace("BufferDevice,", "FileDevice,")
      .replace(BUFFER, `await FileDevice.open(${JSON.stringify(path)})`);
  });
  await qemuIo(bench, url, "write -P 0x5a 1M 64k", "read -P 0x5a 1M 64k");
  const written = readFileSync(path).subarray(1024 * 1024, 1024 * 1024 + 64 * 1024);
  expect(written.every((byte) => byte === 0x5a)).toBe(true);
});

it("takes CHAP with the runtime's hash functions", async () => {
  const url = await runExample((example) =>
    example.replace(
      "  luns: [",
      '  chap: { secretOf: (user) => (user === "host" ? Buffer.from("a secret of 21 bytes!") : undefined) },\n  luns: [',
    ),
  );
  const as = (account: string) => bench.run("iscsi-inq", [url.replace("iscsi://", `iscsi://${account}@`)]);
  expect((await as("host%a secret of 21 bytes!")).stdout).toContain("Vendor:EXAMPLE");
  expect((await as("host%another secret here!")).code).not.toBe(0);
  expect((await bench.run("iscsi-inq", [url])).code).not.toBe(0);
});
