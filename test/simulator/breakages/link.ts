/** Breakages of the site link: order, credits, checks, fencing, silence. */

import type { Breakage } from "./breakage.ts";

export const LINK: readonly Breakage[] = [
  {
    name: "watermark-too-high",
    file: "src/link/request-pump.ts",
    find: "StreamNumbers.committed.set(channel.view, numbers, committed);",
    replace: "StreamNumbers.committed.set(channel.view, numbers, head.sequence);",
    scenario: "standard",
    seeds: 3,
    why: "Sites are told that a request is committed when it is sent.",
  },
  {
    name: "damage-on-wire-taken",
    file: "src/link/request-check.ts",
    find: "if (this.#checksums[block] === checksums[block]) continue;",
    replace: "continue;",
    scenario: "network",
    seeds: 12,
    why: "A site journals a request whose data was damaged on its way.",
  },
  {
    name: "promise-unawaited",
    file: "src/journal/journal.ts",
    find: "this.#wantedPromise = epoch(Math.max(of, this.#wantedPromise));\n    await this.#update();",
    replace: "this.#superblock = { ...this.#superblock, promised: of };",
    scenario: "standard",
    seeds: 3,
    why: "A site promises an epoch, and forgets it with its power.",
  },
  {
    name: "credit-ignored",
    file: "src/link/request-pump.ts",
    find: "if (this.#sentBytes + payloadBytes > this.#creditLimit) break;",
    replace: "",
    scenario: "room",
    seeds: 9,
    why: "A site sends more than the next one has room for.",
  },
  {
    name: "unseeded-jitter",
    file: "src/link/link-state.ts",
    find: "return millis(delay * (0.5 + moment.dice / 2));",
    replace: "return millis(delay * (0.5 + Math.random() / 2));",
    scenario: "standard",
    seeds: 3,
    repeat: true,
    why: "A run depends on more than its seed.",
  },
];
