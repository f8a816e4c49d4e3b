import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const script = join(import.meta.dirname, "root/sbin/factory-reset");
const MARK = "factory-reset";
const SECRET = [
  "config/revision-1.yaml",
  "config/revision-2.yaml",
  "config/users.json",
  "config/.hidden",
  "log/site.log",
];

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "antipode-reset-"));
  for (const file of [...SECRET, "config/firmware-keys.pem", "log/site.log.1", "config/lost+found/kept"]) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), file);
  }
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** @param path where programs are looked for first */
function run(path = ""): void {
  const env = { PATH: `${path}:/usr/sbin:/usr/bin:/sbin:/bin` };
  spawnSync("sh", [script, join(root, "config"), join(root, "log")], { env });
}

/** An `rm` that takes the power away from whoever calls it, in the place of its call number `count`. */
function rmThatCuts(count: number): string {
  const folder = join(root, "bin");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "left"), String(count));
  const rm = execFileSync("sh", ["-c", "command -v rm"], { encoding: "utf8" }).trim();
  writeFileSync(
    join(folder, "rm"),
    `#!/bin/sh\nleft=$(cat ${folder}/left)\n[ "$left" -gt 0 ] || kill -9 $PPID\necho $((left - 1)) >${folder}/left\nexec ${rm} "$@"\n`,
  );
  chmodSync(join(folder, "rm"), 0o755);
  return folder;
}

const names = (folder: string) => readdirSync(join(root, folder)).sort();

describe("the script that finishes a factory reset", () => {
  it("removes nothing where none was asked for", () => {
    run();
    for (const file of SECRET) expect(existsSync(join(root, file)), file).toBe(true);
  });

  it("removes all of it, at the next run where a power cut broke it off", () => {
    let isWhole = false;
    for (let cut = 0; !isWhole; cut++) {
      for (const file of [...SECRET, `config/${MARK}`]) writeFileSync(join(root, file), file);
      run(rmThatCuts(cut));
      isWhole = !existsSync(join(root, `config/${MARK}`));
      if (!isWhole) run();
      expect([names("config"), names("log")]).toEqual([["lost+found"], []]);
      expect(cut).toBeLessThan(20);
    }
  });
});
