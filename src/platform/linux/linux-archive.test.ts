import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { packFiles } from "./linux-archive.ts";

it("packs files as tar unpacks them", async () => {
  const text = (words: string) => new TextEncoder().encode(words);
  const packed = await packFiles(
    "bundle",
    new Map([
      ["about.txt", text("hello\n")],
      ["site/status.json", text("{}")],
      ["empty", text("")],
    ]),
  );
  const list = execFileSync("tar", ["tzf", "-"], { input: packed, encoding: "utf8" });
  expect(list.trim().split("\n").sort()).toEqual(["bundle/about.txt", "bundle/empty", "bundle/site/status.json"]);
  expect(execFileSync("tar", ["xzOf", "-", "bundle/about.txt"], { input: packed, encoding: "utf8" })).toBe("hello\n");
});
