/**
 * The folder that the test files of one run build the image into, once for all of them: made before the first of them
 * runs and removed after the last. See built-image.ts.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    imageFolder: string;
  }
}

/** @returns what vitest calls at the end */
export default function makeFolder(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "antipode-image-"));
  project.provide("imageFolder", folder);
  return () => rmSync(folder, { recursive: true, force: true });
}
