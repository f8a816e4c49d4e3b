import { beforeEach, describe, expect, it } from "vitest";
import { crc32c } from "../base/crc32c.ts";
import { millis } from "../base/units.ts";
import { MemoryFiles } from "../platform/memory/memory-files.ts";
import { CONFIGURATION_FORMAT } from "./format.ts";
import { type Boot, type Commit, REVISIONS_MAX, Revisions } from "./revisions.ts";

/** A valid configuration that can be told from others by its group, with a comment. */
const yaml = (group: string) => `# of ${group}
site: { name: boston }
group: ${group}
role: mirror
drives: [{ path: a.img, size: 1GiB }, { path: b.img, size: 1GiB }]
arrays: { main: { level: 1, drives: [0, 1] } }
volumes: { db01: { array: main, size: 512MiB, lun: 7 } }
journal: { device: journal.img, size: 64MiB }
link: { listen: "[::]:7400", from: [denver] }
`;

let now: number;
let files: MemoryFiles;
let revisions: Revisions;

beforeEach(() => {
  now = 1_793_491_200_000;
  files = new MemoryFiles();
  revisions = open();
});

function open(): Revisions {
  return new Revisions("/config", files, { wallClock: () => now });
}

async function commit(group: string, more: Partial<Commit> = {}) {
  const base = (await revisions.list())[0]?.number ?? 0;
  return revisions.commit({ text: yaml(group), author: "ada", base, ...more });
}

/** The group that a start would give, or safe mode. */
async function booted(): Promise<string> {
  const boot = await open().boot();
  return boot.kind === "revision" ? boot.config.group : boot.kind;
}

function codes(boot: Boot): string[] {
  return boot.faults.map(({ number, error }) => `${number} ${error.code}`);
}

describe("revisions", () => {
  it("keep text, time, author and comment", async () => {
    await commit("one");
    now += 1000;
    await commit("two", { comment: "more\nof it" });
    const { text, ...about } = await revisions.read(2);
    expect(text).toBe(yaml("two"));
    expect(about).toEqual({
      number: 2,
      format: CONFIGURATION_FORMAT,
      time: now,
      author: "ada",
      comment: "more\nof it",
    });
    expect((await revisions.list()).map(({ number, revision }) => [number, revision?.text])).toEqual([
      [2, yaml("two")],
      [1, yaml("one")],
    ]);
    await expect(revisions.read(3)).rejects.toMatchObject({ code: "revision.missing", remedy: "There are 1 to 2." });
  });

  it("are files that a site can be started from, with the lines where they were", async () => {
    await commit("one");
    const content = new TextDecoder().decode(files.contents.get(revisions.path(1)));
    expect(content.startsWith(yaml("one"))).toBe(true);
    expect(revisions.check(content).group).toBe("one");
  });

  it("are refused where something in them is wrong, and nothing changes", async () => {
    await commit("one");
    const steps = files.steps;
    await expect(commit("Two")).rejects.toMatchObject({ code: "config.invalid" });
    await expect(commit("two", { base: 0 })).rejects.toMatchObject({ code: "revision.moved" });
    await expect(commit("two", { text: `${yaml("two")}#${"x".repeat(2 ** 20)}` })).rejects.toMatchObject({
      code: "revision.too-large",
    });
    expect(files.steps).toBe(steps);
  });

  it("are kept up to a number, and the newest of them", async () => {
    for (let at = 1; at <= REVISIONS_MAX + 3; at++) await commit(`g${at}`);
    const numbers = (await revisions.list()).map(({ number }) => number);
    expect(numbers).toHaveLength(REVISIONS_MAX);
    expect([numbers[0], numbers.at(-1)]).toEqual([REVISIONS_MAX + 3, 4]);
  });

  it("never lose the one that is gone back to", async () => {
    await commit("sure");
    for (let at = 0; at < REVISIONS_MAX + 2; at++) await commit(`try${at}`, { confirmWithin: millis(60_000) });
    expect((await revisions.list()).length).toBeLessThanOrEqual(REVISIONS_MAX + 1);
    expect((await revisions.goBack())?.text).toBe(yaml("sure"));
  });
});

describe("a commit that has to be confirmed", () => {
  it("stays when it is", async () => {
    await commit("one");
    await commit("two", { confirmWithin: millis(60_000) });
    now += 59_000;
    expect(await revisions.confirmationDue()).toBe(1000);
    now -= 3_600_000;
    expect(await revisions.confirmationDue()).toBe(60_000);
    await revisions.confirm();
    expect(await revisions.confirmationDue()).toBeUndefined();
    expect(await revisions.goBack()).toBeUndefined();
    expect(await booted()).toBe("two");
    await expect(revisions.confirm()).rejects.toMatchObject({ code: "revision.confirmed" });
  });

  it("goes back as a new revision when it is not", async () => {
    await commit("one");
    await commit("two", { confirmWithin: millis(60_000) });
    now += 61_000;
    expect(await revisions.confirmationDue()).toBe(0);
    expect(await revisions.goBack()).toMatchObject({ number: 3, text: yaml("one") });
    expect(await booted()).toBe("one");
  });

  it("goes back at a start, and only once", async () => {
    await commit("one");
    await commit("two", { confirmWithin: millis(60_000) });
    const boot = await revisions.boot();
    expect(boot).toMatchObject({ kind: "revision", wentBackFrom: 2, revision: { number: 3, text: yaml("one") } });
    expect(codes(boot)).toEqual(["2 revision.unconfirmed"]);
    expect(await revisions.boot()).toMatchObject({ kind: "revision", faults: [], revision: { number: 3 } });
  });

  it("goes back past all that were not confirmed", async () => {
    await commit("one");
    await commit("two", { confirmWithin: millis(60_000) });
    await commit("three", { confirmWithin: millis(60_000) });
    expect(await booted()).toBe("one");
  });

  it("is confirmed with the next one that needs no confirming", async () => {
    await commit("one");
    await commit("two", { confirmWithin: millis(60_000) });
    await commit("three");
    expect(await revisions.confirmationDue()).toBeUndefined();
    expect(await booted()).toBe("three");
  });

  it("is what a site's process runs on until then, and nothing that was gone back from is", async () => {
    const current = async () => {
      const boot = await revisions.current();
      return boot.kind === "revision" ? boot.config.group : boot.kind;
    };
    expect(await current()).toBe("safe-mode");
    await commit("one");
    await commit("two", { confirmWithin: millis(60_000) });
    expect(await current()).toBe("two");
    expect(await revisions.numbers()).toEqual([2, 1]);
    await revisions.goBack();
    expect(await current()).toBe("one");
    files.contents.set(revisions.path(3), new Uint8Array(0));
    expect(await current()).toBe("one");
  });

  it("goes back past one that can't be read", async () => {
    await commit("one");
    await commit("two");
    files.contents.set(revisions.path(2), new Uint8Array(0));
    await commit("three", { confirmWithin: millis(60_000) });
    expect(await revisions.goBack()).toMatchObject({ number: 4, text: yaml("one") });
  });

  it("is refused where there is nothing to go back to", async () => {
    await expect(commit("one", { confirmWithin: millis(1) })).rejects.toMatchObject({ code: "revision.no-way-back" });
  });

  it("is gone back from also where that can't be written", async () => {
    await commit("one");
    await commit("two", { confirmWithin: millis(60_000) });
    files.cutAfter(0);
    const boot = await revisions.boot();
    expect(boot).toMatchObject({ kind: "revision", revision: { number: 1 }, wentBackFrom: 2 });
    expect(codes(boot)).toEqual(["2 revision.unconfirmed", "2 file.failed"]);
  });
});

describe("a format that only a newer release reads", () => {
  const newer = () => new Revisions("/config", files, { wallClock: () => now }, { format: CONFIGURATION_FORMAT + 1 });
  const commitNewer = async (group: string, more: Partial<Commit> = {}) => {
    const [base = 0] = await revisions.numbers();
    return newer().commit({ text: yaml(group), author: "ada", base, ...more });
  };

  it("is passed over by a start, and named", async () => {
    await commit("one");
    await commitNewer("two");
    const boot = await revisions.boot();
    expect(boot).toMatchObject({ kind: "revision", revision: { number: 1 } });
    expect(codes(boot)).toEqual(["2 revision.format"]);
    const [known, unknown] = [CONFIGURATION_FORMAT, CONFIGURATION_FORMAT + 1];
    expect(boot.faults[0].error.what).toContain(`in format ${unknown}; this one reads formats up to ${known}.`);
    await expect(revisions.read(2)).rejects.toMatchObject({ code: "revision.format" });
    expect(await newer().boot()).toMatchObject({ revision: { number: 2, format: unknown }, faults: [] });
  });

  it("leaves safe mode where nothing else is there", async () => {
    await commitNewer("one");
    expect(await booted()).toBe("safe-mode");
  });

  it("is that of an older file that does not say", async () => {
    await commit("one");
    const content = new TextDecoder().decode(files.contents.get(revisions.path(1)));
    const plain = content.replace(/"format":\d+,/, "").slice(0, -"12345678\n".length - 1);
    const sum = crc32c(new TextEncoder().encode(plain)).toString(16).padStart(8, "0");
    files.contents.set(revisions.path(1), new TextEncoder().encode(`${plain} ${sum}\n`));
    expect(await revisions.read(1)).toMatchObject({ format: 1, text: yaml("one") });
  });

  it("stays with a content that is gone back to", async () => {
    await commit("one");
    await newer().commit({ text: yaml("two"), author: "ada", base: 1, confirmWithin: millis(1) });
    expect(await newer().goBack()).toMatchObject({ number: 3, format: CONFIGURATION_FORMAT });
    expect(await booted()).toBe("one");
  });

  it("is in use as long as the newest revision that can be read has it", async () => {
    expect(await newer().formatInUse()).toBeUndefined();
    await commitNewer("one");
    expect(await newer().formatInUse()).toBe(CONFIGURATION_FORMAT + 1);
    await commit("two");
    expect(await newer().formatInUse()).toBe(CONFIGURATION_FORMAT);
    await commitNewer("three");
    expect(await revisions.formatInUse()).toBe(CONFIGURATION_FORMAT);
  });

  it("is not gone back to by a release that can't read it", async () => {
    await commit("one");
    await commitNewer("two");
    await commit("three", { confirmWithin: millis(60_000) });
    expect(await revisions.newest()).toMatchObject({ unconfirmed: { backTo: 1 } });
    expect(await revisions.goBack()).toMatchObject({ number: 4, text: yaml("one") });
  });
});

describe("changes at the same moment", () => {
  const other = () => open().commit({ text: yaml("theirs"), author: "bob", base: 1 });

  it("of one process or of two leave one of them, and tell the other", async () => {
    for (const second of [() => commit("mine"), other]) {
      files = new MemoryFiles();
      revisions = open();
      await commit("one");
      const mine = revisions.commit({ text: yaml("mine"), author: "ada", base: 1 });
      const results = await Promise.allSettled([mine, second()]);
      const numbers = results.map((each) => (each.status === "fulfilled" ? each.value.number : each.reason.code));
      expect(numbers).toContain(2);
      expect(numbers.filter((each) => each !== 2)).not.toContain(2);
      const texts = (await revisions.list()).map(({ revision }) => revision?.text);
      for (const each of results) if (each.status === "fulfilled") expect(texts).toContain(each.value.text);
    }
  });

  it("refuse the later of two processes, however late it is", async () => {
    await commit("one");
    // what the other process does between this one's look and its write
    const { replace } = files;
    files.replace = async (path, content, options) => {
      files.replace = replace;
      await other();
      return files.replace(path, content, options);
    };
    await expect(commit("mine")).rejects.toMatchObject({ code: "revision.moved" });
    expect(await booted()).toBe("theirs");
  });

  it("never both confirm a revision and go back from it", async () => {
    await commit("one");
    await commit("two", { confirmWithin: millis(60_000) });
    now += 60_000;
    await expect(revisions.confirm()).rejects.toMatchObject({ code: "revision.late" });
    const [, back] = await Promise.allSettled([revisions.confirm(), revisions.goBack(), revisions.goBack()]);
    expect(back).toMatchObject({ status: "fulfilled", value: { number: 3 } });
    expect(await revisions.numbers()).toEqual([3, 2, 1]);
  });
});

describe("a start", () => {
  it("without any revision is in safe mode", async () => {
    expect(await revisions.boot()).toEqual({ kind: "safe-mode", faults: [] });
  });

  it("takes the newest revision that can be used, and names what is wrong with newer ones", async () => {
    for (const group of ["one", "two", "three", "four"]) await commit(group);
    await commit("five", { confirmWithin: millis(60_000) });
    await commit("six");
    // what a release before this one let pass, or what rotted
    const damage = (number: number, change: (text: string) => string) => {
      const path = revisions.path(number);
      files.contents.set(path, new TextEncoder().encode(change(new TextDecoder().decode(files.contents.get(path)))));
    };
    damage(6, (text) => text.replace("group: six", "group: sax"));
    damage(4, (text) => text.slice(0, 100));
    damage(3, () => "");
    const boot = await revisions.boot();
    expect(boot).toMatchObject({ kind: "revision", revision: { number: 2 } });
    expect(codes(boot)).toEqual([
      "6 revision.damaged",
      "5 revision.unconfirmed",
      "4 revision.damaged",
      "3 revision.damaged",
    ]);
    expect(boot.kind === "revision" && boot.wentBackFrom).toBe(undefined);
    damage(2, (text) => text.replaceAll("\n", "\r"));
    damage(1, (text) => text.replace('"number":1', '"number":2'));
    expect(await booted()).toBe("safe-mode");
  });

  it("passes over what this version can't use", async () => {
    await commit("one");
    const strict = new Revisions("/config", files, { wallClock: () => now }, { realPath: () => "/same" });
    const boot = await strict.boot();
    expect(boot.kind).toBe("safe-mode");
    expect(codes(boot)).toEqual(["1 config.invalid"]);
  });
});

describe("a power cut", () => {
  const steps: readonly (readonly [string, () => Promise<unknown>, before: string, after: string])[] = [
    ["a commit", () => commit("new"), "old", "new"],
    ["a commit that has to be confirmed", () => commit("new", { confirmWithin: millis(1) }), "old", "old"],
    ["a confirmation", () => revisions.confirm(), "old", "tried"],
    ["going back", () => revisions.goBack(), "old", "old"],
    ["a commit over one that waits", () => commit("new"), "old", "new"],
    ["a start", () => revisions.boot(), "old", "old"],
  ];

  it.each(steps)("at any step of %s leaves the old or the new", async (name, act, before, after) => {
    const outcomes = new Set<string>();
    for (let cut = 0, done = false; !done; cut++) {
      files = new MemoryFiles();
      revisions = open();
      // as many as there may be, so that old ones are removed as well
      for (let at = 1; at < REVISIONS_MAX; at++) await commit(`g${at}`);
      await commit("old");
      if (!["a commit", "a commit that has to be confirmed"].includes(name)) {
        await commit("tried", { confirmWithin: millis(60_000) });
      }
      files.cutAfter(cut);
      const failed = await act().then(
        () => false,
        (error) => error.code === "file.failed",
      );
      const stepsLeft = await files.replace("/probe", new Uint8Array(0)).then(
        () => true,
        () => false,
      );
      files.restore();
      const outcome = await booted();
      outcomes.add(outcome);
      expect(failed && outcome !== before ? `after a failure: ${outcome}` : "").toBe("");
      if (!failed && name !== "a start") expect(outcome).toBe(after);
      // a second start finds the same
      expect(await booted()).toBe(outcome);
      done = stepsLeft;
    }
    expect(outcomes).toEqual(new Set([before, after]));
  });
});
