/**
 * The image that tests boot, as `npm run image` builds it but compressed less, with keys of its own for updates. The
 * first test file that asks for it builds it, and all others of the same run get the same files: nobody writes to them.
 */

import { join } from "node:path";
import { expect, inject } from "vitest";
import { PRODUCT, UKI_NAME, UPDATE_NAME, VERSION } from "../../image/identity.ts";
import { tool } from "../conformance/initiator.ts";
import type { Workbench } from "../conformance/workbench.ts";
import type {} from "./image-folder.ts";
import { MADE_DEADLINE_MS, madeOnce } from "./made-once.ts";

const root = join(import.meta.dirname, "../..");
export const BUILD_DEADLINE_MS = MADE_DEADLINE_MS;

/** Paths. */
export interface BuiltImage {
  /** The folder that all files of the build are in, and nothing else. */
  readonly folder: string;
  /** To flash: what a machine boots from, it writes to, so `flash` makes it a copy. */
  readonly disk: string;
  readonly uki: string;
  readonly update: string;
  /** The pair that signs its updates: the image believes the public one. */
  readonly privateKey: string;
  readonly publicKeys: string;
}

/** Call it in `beforeAll`, whose deadline has to allow for `BUILD_DEADLINE_MS`. */
export async function builtImage(bench: Workbench): Promise<BuiltImage> {
  const shared = inject("imageFolder");
  const [keys, folder] = [join(shared, "keys"), join(shared, "built")];
  const privateKey = join(keys, "firmware-key.pem");
  await madeOnce(keys, async (part) => {
    const { code, text } = await bench.antipode("firmware", "keygen", part);
    expect(code, text).toBe(0);
  });
  await madeOnce(folder, (part) => build(bench, part, privateKey));
  return {
    folder,
    disk: join(folder, `${PRODUCT}-${VERSION}.img`),
    uki: join(folder, UKI_NAME),
    update: join(folder, UPDATE_NAME),
    privateKey,
    publicKeys: join(keys, "firmware-keys.pem"),
  };
}

export async function build(bench: Workbench, folder: string, privateKey: string): Promise<void> {
  const args = [join(root, "image/build.ts"), "--fast", "--out", folder, "--key", privateKey];
  const { code, text } = await bench.run(process.execPath, args, { deadlineMs: BUILD_DEADLINE_MS });
  expect(code, text).toBe(0);
}

/** @returns the path of a flash drive with the image on it, for one machine */
export async function flash(bench: Workbench, image: BuiltImage, name: string): Promise<string> {
  const drive = bench.path(`${name}.img`);
  await tool(bench, "cp", "--sparse=always", image.disk, drive);
  return drive;
}
