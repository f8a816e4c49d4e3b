/** Breakages of the journal: what is durable, what is reused, what recovery believes. */

import type { Breakage } from "./breakage.ts";

export const JOURNAL: readonly Breakage[] = [
  {
    name: "durable-too-high",
    file: "src/journal/journal.ts",
    find: "this.#durable = run.lastSequence;",
    replace: "this.#durable = this.appended;",
    scenario: "standard",
    seeds: 5,
    why: "Requests that came during a write of the log count as written with it.",
  },
  {
    name: "log-without-fua",
    file: "src/journal/journal.ts",
    find: "run.bytes, {\n      fua: true,\n    });",
    replace: "run.bytes, {});",
    scenario: "power",
    seeds: 6,
    why: "The log is in the drive's volatile cache when it counts as durable.",
  },
  {
    name: "superblock-without-fua",
    file: "src/journal/superblock.ts",
    find: "await this.#drive.write(lba(copy), this.#block, { fua: true });",
    replace: "await this.#drive.write(lba(copy), this.#block, {});",
    scenario: "power",
    seeds: 6,
    why: "Promises and checkpoints are in the drive's volatile cache when they count as durable.",
  },
  {
    name: "failed-write-taken",
    file: "src/journal/journal.ts",
    find: "this.#writing = false;\n          this.#fail(cause);",
    replace: "this.#committed(run);",
    scenario: "systems",
    seeds: 6,
    why: "A write of the log that failed counts as done.",
  },
  {
    name: "log-unclaimed",
    file: "src/journal/journal.ts",
    find: "return this.#superblock.opening.number === this.#opening.number;",
    replace: "return true;",
    scenario: "power",
    seeds: 9,
    why: "Batches are written before a durable superblock names their opening.",
  },
  {
    name: "torn-tail-kept",
    file: "src/journal/recovery.ts",
    find: 'if (!sound) return { reason: "the batch\'s data fails its checksums", bytes: header.bytes };',
    replace: "",
    scenario: "power",
    seeds: 15,
    why: "A batch that a power cut tore counts as whole.",
  },
  {
    name: "sound-tail-dropped",
    file: "src/journal/recovery.ts",
    find: "if (!sound) return {",
    replace: "if (!sound || header.durablePosition === this.position) return {",
    scenario: "power",
    seeds: 3,
    why: "Recovery drops the last write of the log, though it is whole.",
  },
];
