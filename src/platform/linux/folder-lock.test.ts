import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { lockFolder } from "./folder-lock.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "antipode-lock-"));
});
afterEach(() => rmdirSync(folder));

it("keeps others out until it is ended", () => {
  const unlock = lockFolder(folder);
  expect(unlock).toBeDefined();
  expect(lockFolder(folder)).toBeUndefined();
  expect(spawnSync("flock", ["--nonblock", folder, "true"]).status).toBe(1);
  unlock?.();
  expect(spawnSync("flock", ["--nonblock", folder, "true"]).status).toBe(0);
});

it("locks nothing where there is nothing", () => expect(lockFolder(join(folder, "none"))).toBeDefined());
