import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { withStick } from "./stick.ts";

let root: string;
let program: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "antipode-stick-"));
  program = join(root, "usb");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Fails, saying so, where it is asked for `fails`. */
function make(fails = ""): void {
  writeFileSync(program, `#!/bin/sh\necho "$1" >>${root}/log\n[ "$1" != "${fails}" ] || { echo no luck; exit 1; }\n`);
  chmodSync(program, 0o755);
}

const log = () => readFileSync(join(root, "log"), "utf8");
const work = async () => {
  writeFileSync(join(root, "log"), `${log()}work\n`);
  return 7;
};
const codeOf = (pending: Promise<unknown>) =>
  pending.then(
    () => "none",
    (error) => (error instanceof OperatingError ? `${error.code}: ${error.what}` : Promise.reject(error)),
  );

it("a stick is attached while work is done on it, and not otherwise", async () => {
  make();
  writeFileSync(join(root, "log"), "");
  expect(await withStick(program, "/usb/a", work)).toBe(7);
  expect(log()).toBe("attach\nwork\ndetach\n");
  expect(await withStick(program, "/update/a", work)).toBe(7);
  expect(await withStick(undefined, "/usb/a", work)).toBe(7);
  expect(log()).toBe("attach\nwork\ndetach\nwork\nwork\n");
});

it("a stick is detached where the work on it fails", async () => {
  make();
  const failed = withStick(program, "/usb/a", () =>
    Promise.reject(new OperatingError("file.failed", "Full.", "Empty.")),
  );
  expect(await codeOf(failed)).toBe("file.failed: Full.");
  expect(log()).toBe("attach\ndetach\n");
});

it("says which of the two steps failed, and why", async () => {
  make("attach");
  expect(await codeOf(withStick(program, "/usb/a", work))).toBe("usb.missing: The stick can't be attached: no luck.");
  make("detach");
  expect(await codeOf(withStick(program, "/usb/a", work))).toBe("usb.unwritten: The stick can't be detached: no luck.");
});
