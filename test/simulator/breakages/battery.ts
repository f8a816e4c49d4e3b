/** Breakages of what a site does with what it is told of its journal's battery. */

import type { Breakage } from "./breakage.ts";

const SCENARIO = { scenario: "batteries" } as const;

export const BATTERY: readonly Breakage[] = [
  {
    ...SCENARIO,
    name: "stale-battery-trusted",
    seeds: 4,
    file: "src/site/battery-watch.ts",
    find: "if (now - takenAt > FRESH_MAX)",
    replace: "if (false)",
    why: "A gauge that repeats what it measured long ago is believed.",
  },
  {
    ...SCENARIO,
    name: "empty-battery-trusted",
    seeds: 12,
    file: "src/site/battery-watch.ts",
    find: "return charge < CHARGE_MIN ?",
    replace: "return charge < 0 ?",
    why: "A battery that is sound and not charged counts as good.",
  },
  {
    ...SCENARIO,
    name: "missed-reading-ignored",
    seeds: 4,
    file: "src/site/battery-watch.ts",
    find: "    this.#latest = latest;",
    replace: '    if (latest.kind === "read") this.#latest = latest;',
    why: "The reading before is believed when a question has no answer.",
  },
  {
    ...SCENARIO,
    name: "gathers-without-battery",
    seeds: 4,
    file: "src/pipeline/destager.ts",
    find: " || !this.#mayGather()",
    replace: "",
    why: "Requests gather in the journal while its battery is not known to be good.",
  },
  {
    ...SCENARIO,
    name: "gathered-left-to-bad-battery",
    seeds: 4,
    file: "src/site/site.ts",
    find: 'if (view.standing.kind !== "good") built.pipeline.hurry();',
    replace: "",
    why: "What has gathered when the battery fails waits on for more.",
  },
  {
    ...SCENARIO,
    name: "battery-trusted-unread",
    seeds: 10,
    file: "src/site/battery-watch.ts",
    find: 'return this.#standing.kind === "good";',
    replace: 'return this.#standing.kind !== "bad";',
    why: "After a start requests gather before anybody has said how the battery is.",
  },
];
