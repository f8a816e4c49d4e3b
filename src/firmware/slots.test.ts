import { describe, expect, it } from "vitest";
import { linuxSignatures, makeKeyPair, signerOf } from "../platform/linux/linux-signatures.ts";
import { MemoryFiles } from "../platform/memory/memory-files.ts";
import {
  EFIVARS,
  ESP,
  FatFiles,
  FOLDER,
  firmwareOf,
  IMAGE_KEYS,
  IN_USE,
  Machine,
  OWNER_KEYS,
  putSlots,
  ukiOf,
  updateOf,
  variable,
  variableOf,
} from "./firmware-testing.ts";

const pair = makeKeyPair();
const signer = signerOf(pair.privateKey, "key");
const UPDATE = "/usb/update";
const RECORD = `${ESP}/EFI/antipode/last-change.json`;
const nothing = () => {};

/** A machine that systemd-boot has started once from these slots, with an update at hand. */
function started(
  names: readonly string[],
  update = "1.2.0",
  files: MemoryFiles = new MemoryFiles(),
  works = (_: string) => true,
) {
  putSlots(files, names);
  files.contents.set(IMAGE_KEYS, new TextEncoder().encode(pair.publicKey));
  files.contents.set(UPDATE, updateOf(ukiOf(update), update, signer, linuxSignatures));
  const machine = new Machine(files, works);
  machine.comeUp();
  return { files, machine, firmware: firmwareOf(files, linuxSignatures) };
}

const slotFiles = (files: MemoryFiles) => files.list(FOLDER);

describe("the slots", () => {
  it("are shown with what runs, what will, and why", async () => {
    const { firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0+3.efi", "stranger.efi.old"]);
    expect(await firmware.status()).toMatchObject({
      running: "1.1.0",
      next: "1.1.0",
      slots: [
        { version: "1.1.0", state: "on-trial", tries: { left: 2, done: 1 }, running: true, next: true },
        { version: "1.0.0", state: "good", running: false, next: false },
      ],
      lastChange: { is: "none" },
    });
  });

  it("are known by number where systemd-boot could not rename what it started", async () => {
    const { files, firmware } = started(["antipode_1.1.0+3.efi", "antipode_1.1.0+2-1.efi"]);
    expect(files.contents.has(variable("LoaderBootCountPath"))).toBe(false);
    files.contents.delete(`${FOLDER}/antipode_1.1.0+2-1.efi`);
    expect((await firmware.status()).running).toBe("1.1.0");
    expect(await firmware.markGood()).toBe("marked");
  });

  it("are unknown on a machine that systemd-boot did not start, and then nothing is changed", async () => {
    for (const content of [
      undefined,
      new Uint8Array(3),
      Uint8Array.of(7, 0, 0, 0, 0, 0),
      Uint8Array.of(7, 0, 0, 0, 65),
    ]) {
      const { files, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0+3.efi"]);
      files.contents.delete(variable("LoaderBootCountPath"));
      if (content === undefined) files.contents.delete(variable("LoaderEntrySelected"));
      else files.contents.set(variable("LoaderEntrySelected"), content);
      const before = new Map(files.contents);
      expect((await firmware.status()).running).toBeUndefined();
      const refusal = { code: "firmware.not-started-here" };
      await expect(firmware.markGood()).rejects.toMatchObject(refusal);
      await expect(firmware.choose()).rejects.toMatchObject(refusal);
      await expect(firmware.install(UPDATE, nothing)).rejects.toMatchObject(refusal);
      expect(files.contents).toEqual(before);
    }
  });

  it("are known by their count where systemd-boot leaves it out of the entry's name, as newer ones do", async () => {
    const { files, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0+3.efi"]);
    files.contents.set(variable("LoaderEntrySelected"), variableOf("antipode_1.1.0.efi"));
    await firmware.choose();
    await firmware.choose();
    expect(await slotFiles(files)).toContain("antipode_1.1.0+3.efi");
  });

  it("lose what a power cut left, at the start and before every change", async () => {
    const left = ["antipode.incoming", "antipode_1.1.0+1-2.efi"];
    const slots = ["antipode_1.0.0.efi", "antipode_1.1.0.efi"];
    for (const change of ["tidy", "choose", "markGood"] as const) {
      const { files, firmware } = started(slots);
      files.contents.set(`${FOLDER}/${left[0]}`, Uint8Array.of(1));
      files.contents.set(`${FOLDER}/${left[1]}`, new Uint8Array(0));
      expect((await firmware.status()).slots).toHaveLength(2);
      const done = await firmware[change]();
      if (change === "tidy") expect([...(done as readonly string[])].sort()).toEqual(left);
      for (const file of left) expect(await slotFiles(files)).not.toContain(file);
    }
  });

  it("are left alone where a version has two files", async () => {
    const { firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0.efi", "antipode_1.1.0+0.efi"]);
    await expect(firmware.install(UPDATE, nothing)).rejects.toMatchObject({ code: "firmware.twice" });
    await expect(firmware.choose()).rejects.toMatchObject({ code: "firmware.twice" });
  });
});

describe("marking good", () => {
  it("takes the count away, and can be repeated", async () => {
    const { files, machine, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0+3.efi"]);
    expect(await firmware.markGood()).toBe("marked");
    expect(await slotFiles(files)).toEqual(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
    expect(await firmware.markGood()).toBe("was-good");
    expect(machine.start()).toBe("1.1.0");
    expect(await firmware.markGood()).toBe("was-good");
  });

  it("does not undo what an operator has just chosen", async () => {
    const { machine, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0+3.efi"]);
    expect((await firmware.choose()).next).toBe("1.0.0");
    expect(await firmware.markGood()).toBe("set-aside");
    expect(machine.start()).toBe("1.0.0");
  });

  it("is done at the last start of a trial, and can be set aside even then", async () => {
    const last = () => started(["antipode_1.0.0.efi", "antipode_1.1.0+1-2.efi"]);
    const { files, firmware } = last();
    expect(await firmware.markGood()).toBe("marked");
    expect(await slotFiles(files)).toContain("antipode_1.1.0.efi");
    const other = last().firmware;
    const status = await other.choose();
    expect(status).toMatchObject({ next: "1.0.0", lastChange: { is: "pending", change: { from: "1.1.0" } } });
    expect(await other.markGood()).toBe("set-aside");
  });

  it("is done as well for what was only started as the last resort", async () => {
    const { files, firmware } = started(["antipode_1.0.0+0-3.efi", "antipode_1.1.0+0.efi"]);
    expect(await firmware.markGood()).toBe("marked");
    expect(await slotFiles(files)).toContain("antipode_1.1.0.efi");
  });

  it("fails where the partition does not keep it", async () => {
    class Forgetful extends MemoryFiles {
      override async rename(): Promise<void> {}
    }
    const { firmware } = started(["antipode_1.1.0+3.efi"], "1.2.0", new Forgetful());
    await expect(firmware.markGood()).rejects.toMatchObject({ code: "firmware.unwritten" });
  });
});

describe("choosing the other slot", () => {
  it("goes back, and forth again", async () => {
    const { files, machine, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
    expect(await firmware.choose()).toMatchObject({ running: "1.1.0", next: "1.0.0", lastChange: { is: "pending" } });
    expect(await slotFiles(files)).toEqual(["antipode_1.0.0+3.efi", "antipode_1.1.0+0.efi"]);
    expect(machine.start()).toBe("1.0.0");
    expect(await firmware.markGood()).toBe("marked");
    expect(await firmware.status()).toMatchObject({
      lastChange: { is: "done", change: { cause: "operator", from: "1.1.0" } },
    });
    expect((await firmware.choose()).next).toBe("1.1.0");
    expect(machine.start()).toBe("1.1.0");
    expect(await slotFiles(files)).toEqual(["antipode_1.0.0.efi", "antipode_1.1.0+2-1.efi"]);
  });

  it("is taken back, and what runs is as good as it was", async () => {
    const { files, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
    await firmware.choose();
    expect((await firmware.choose("1.1.0")).next).toBe("1.1.0");
    expect(await slotFiles(files)).toEqual(["antipode_1.0.0+3.efi", "antipode_1.1.0.efi"]);
  });

  it("leaves a good version good where what runs has yet to prove itself", async () => {
    const { files, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0+3.efi"]);
    await firmware.choose();
    expect(await slotFiles(files)).toEqual(["antipode_1.0.0.efi", "antipode_1.1.0+0.efi"]);
  });

  it("is refused where that version can't read what is here, or is not what its name says", async () => {
    const { files } = started(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
    const before = new Map(files.contents);
    const newer = firmwareOf(files, linuxSignatures, { ...IN_USE, journals: [3] });
    const what = "Firmware 1.0.0 reads journals of format 1 to 2, and this appliance has one of format 3.";
    await expect(newer.choose()).rejects.toMatchObject({ code: "firmware.downgrade", what });
    expect(files.contents).toEqual(before);
    for (const image of [ukiOf("0.9.0"), Uint8Array.of(1)]) {
      files.contents.set(`${FOLDER}/antipode_1.0.0.efi`, image);
      await expect(newer.choose()).rejects.toMatchObject({ code: "firmware.slot" });
    }
  });

  it("is no change where it is chosen already, or no other is there", async () => {
    const { files, firmware } = started(["antipode_1.1.0.efi"]);
    const before = new Map(files.contents);
    expect((await firmware.choose("1.1.0")).next).toBe("1.1.0");
    await expect(firmware.choose()).rejects.toMatchObject({ code: "firmware.no-slot" });
    await expect(firmware.choose("1.0.0")).rejects.toMatchObject({ code: "firmware.no-slot" });
    await expect(firmware.choose("newest")).rejects.toMatchObject({ code: "usage.firmware" });
    expect(files.contents).toEqual(before);
  });
});

describe("an update", () => {
  it("goes into the other slot, is tried, and stays once it is marked good", async () => {
    const { files, machine, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
    const steps: string[] = [];
    const status = await firmware.install(UPDATE, ({ what, done, total }) => done === total && steps.push(what));
    expect(steps).toEqual(["checking", "writing", "reading back"]);
    expect(status).toMatchObject({
      running: "1.1.0",
      next: "1.2.0",
      lastChange: { is: "pending", change: { cause: "update" } },
    });
    expect(await slotFiles(files)).toEqual(["antipode_1.1.0.efi", "antipode_1.2.0+3.efi"]);
    expect(machine.start()).toBe("1.2.0");
    expect(await firmware.status()).toMatchObject({ lastChange: { is: "done", change: { from: "1.1.0" } } });
    await expect(firmware.install(UPDATE, nothing)).rejects.toMatchObject({ code: "firmware.running" });
    expect(await firmware.markGood()).toBe("marked");
  });

  it("that does not come up three times is left, and it is said so", async () => {
    const { machine, firmware } = started(
      ["antipode_1.1.0.efi"],
      "1.2.0",
      new MemoryFiles(),
      (version) => version !== "1.2.0",
    );
    await firmware.install(UPDATE, nothing);
    expect(machine.comeUp()).toBe("1.1.0");
    expect(await firmware.status()).toMatchObject({
      running: "1.1.0",
      next: "1.1.0",
      slots: [{ version: "1.1.0" }, { version: "1.2.0", state: "failed" }],
      lastChange: { is: "fell-back", starts: 3, change: { to: "1.2.0" } },
    });
  });

  it("to an older version sets the running one aside, which comes back where the older one fails", async () => {
    const { files, machine, firmware } = started(
      ["antipode_1.3.0.efi"],
      "1.2.0",
      new MemoryFiles(),
      (version) => version !== "1.2.0",
    );
    await firmware.install(UPDATE, nothing);
    expect(await slotFiles(files)).toEqual(["antipode_1.2.0+3.efi", "antipode_1.3.0+0.efi"]);
    expect(machine.comeUp()).toBe("1.3.0");
    expect((await firmware.status()).lastChange).toMatchObject({ is: "fell-back", starts: 3 });
    expect(await firmware.markGood()).toBe("marked");
    expect(await slotFiles(files)).toEqual(["antipode_1.2.0+0-3.efi", "antipode_1.3.0.efi"]);
  });

  it.each([
    ["has yet to prove itself", ["antipode_1.0.0.efi", "antipode_1.1.0+3.efi"], async () => {}],
    [
      "is set aside",
      ["antipode_1.0.0.efi", "antipode_1.1.0.efi"],
      (firmware: ReturnType<typeof firmwareOf>) => firmware.choose(),
    ],
  ])("is refused while the running version %s", async (_, names, before) => {
    const { files, firmware } = started(names);
    await before(firmware);
    const slots = new Map(files.contents);
    await expect(firmware.install(UPDATE, nothing)).rejects.toMatchObject({ code: "firmware.not-good" });
    expect(files.contents).toEqual(slots);
  });

  it("that is refused changes nothing", async () => {
    const { files, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
    const bytes = files.contents.get(UPDATE) ?? expect.fail();
    bytes[bytes.length - 1] ^= 1;
    const before = new Map(files.contents);
    await expect(firmware.install(UPDATE, nothing)).rejects.toMatchObject({ code: "firmware.damaged" });
    await expect(firmware.install("/usb/none", nothing)).rejects.toMatchObject({ code: "firmware.missing" });
    expect(files.contents).toEqual(before);
  });

  it("that finds no room changes nothing, though the other slot were removed", async () => {
    const { files, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
    files.capacity = (await usedBytes(files)) + 1000;
    const before = new Map(files.contents);
    await expect(firmware.install(UPDATE, nothing)).rejects.toMatchObject({ code: "firmware.no-room" });
    expect(files.contents).toEqual(before);
  });

  it("that the drive does not keep as written never becomes a slot", async () => {
    class Rotten extends MemoryFiles {
      override async create(path: string) {
        const writer = await super.create(path);
        return {
          ...writer,
          write: (part: Uint8Array) => writer.write(part.map((byte, at) => (at === 9 ? byte ^ 1 : byte))),
        };
      }
    }
    const { files, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0.efi"], "1.2.0", new Rotten());
    await expect(firmware.install(UPDATE, nothing)).rejects.toMatchObject({ code: "firmware.unwritten" });
    expect((await slotFiles(files)).filter((name) => name.endsWith(".efi"))).toEqual([
      "antipode_1.0.0.efi",
      "antipode_1.1.0.efi",
    ]);
    expect((await firmware.status()).lastChange.is).toBe("unfinished");
  });

  it("is the only change at a time", async () => {
    const { firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
    const first = firmware.install(UPDATE, nothing);
    await expect(firmware.choose()).rejects.toMatchObject({ code: "firmware.busy" });
    await first;
  });
});

describe("keys", () => {
  it("of the owner replace the image's", async () => {
    const owner = makeKeyPair();
    const { files, firmware } = started(["antipode_1.1.0.efi"]);
    files.contents.set(OWNER_KEYS, new TextEncoder().encode(owner.publicKey));
    await expect(firmware.check(UPDATE, nothing)).rejects.toMatchObject({ code: "firmware.untrusted" });
    files.contents.set(OWNER_KEYS, new TextEncoder().encode(`${owner.publicKey}\n${pair.publicKey}`));
    expect((await firmware.check(UPDATE, nothing)).version).toBe("1.2.0");
  });

  it.each(["", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", `${pair.publicKey}and more`])(
    "of the owner that can't be used do not bring back the image's: %j",
    async (text) => {
      const { files, firmware } = started(["antipode_1.1.0.efi"]);
      files.contents.set(OWNER_KEYS, new TextEncoder().encode(text));
      await expect(firmware.check(UPDATE, nothing)).rejects.toMatchObject({ code: "firmware.keys" });
    },
  );

  it("that are private sign, and others are refused", () => {
    expect(signerOf(pair.privateKey, "key").key).toHaveLength(32);
    expect(() => signerOf(pair.publicKey, "key")).toThrow(expect.objectContaining({ code: "firmware.private-key" }));
  });
});

describe("the record of the last change", () => {
  it.each([
    ["1.0.0", ["antipode_1.0.0+2-1.efi", "antipode_1.1.0.efi"]],
    ["1.1.0", ["antipode_1.0.0.efi", "antipode_1.1.0+0.efi"]],
    ["1.2.0", ["antipode_1.0.0.efi", "antipode_1.1.0.efi"]],
  ])("is called unfinished where %s neither runs nor will", async (to, names) => {
    const { files, firmware } = started(names);
    const change = { cause: "operator", from: "1.0.5", to, atMs: 1 };
    files.contents.set(RECORD, new TextEncoder().encode(JSON.stringify(change)));
    expect((await firmware.status()).lastChange).toEqual({ is: "unfinished", change });
  });

  it.each(["", "{", "null", "[]", '{"cause":"update"}', '{"cause":"x","from":"1.0.0","to":"1.1.0","atMs":1}'])(
    "is for people only: %j is as good as none",
    async (text) => {
      const { files, firmware } = started(["antipode_1.0.0.efi", "antipode_1.1.0+3.efi"]);
      files.contents.set(RECORD, new TextEncoder().encode(text));
      expect((await firmware.status()).lastChange).toEqual({ is: "none" });
      expect(await firmware.markGood()).toBe("marked");
    },
  );
});

async function usedBytes(files: MemoryFiles): Promise<number> {
  files.capacity = 0;
  return -(await files.room());
}

interface Scenario {
  readonly name: string;
  readonly slots: readonly string[];
  /** Room beside what is there, where it is short. */
  readonly room?: number;
  act(firmware: ReturnType<typeof firmwareOf>): Promise<unknown>;
  readonly goal: string;
  /** The goal is known to be good, and stays so: there is nothing better to come back to. */
  readonly goalIsGood?: boolean;
}

const install = (firmware: ReturnType<typeof firmwareOf>) => firmware.install(UPDATE, nothing);
const choose = (version: string) => (firmware: ReturnType<typeof firmwareOf>) => firmware.choose(version);

const SCENARIOS: readonly Scenario[] = [
  { name: "the first update", slots: ["antipode_1.1.0.efi"], act: install, goal: "1.2.0" },
  { name: "an update", slots: ["antipode_1.0.0.efi", "antipode_1.1.0.efi"], act: install, goal: "1.2.0" },
  {
    name: "an update over one that failed",
    slots: ["antipode_1.1.0.efi", "antipode_1.1.5+0-3.efi"],
    act: install,
    goal: "1.2.0",
  },
  { name: "an update again", slots: ["antipode_1.1.0.efi", "antipode_1.2.0+0-3.efi"], act: install, goal: "1.2.0" },
  {
    name: "an update where two fit",
    slots: ["antipode_1.0.0.efi", "antipode_1.1.0.efi"],
    room: 256 * 1024 + 300,
    act: install,
    goal: "1.2.0",
  },
  {
    name: "an update to an older version",
    slots: ["antipode_1.3.0.efi", "antipode_1.0.0.efi"],
    act: install,
    goal: "1.2.0",
  },
  { name: "going back", slots: ["antipode_1.0.0.efi", "antipode_1.1.0.efi"], act: choose("1.0.0"), goal: "1.0.0" },
  {
    name: "going back from a trial",
    slots: ["antipode_1.0.0.efi", "antipode_1.1.0+3.efi"],
    act: choose("1.0.0"),
    goal: "1.0.0",
    goalIsGood: true,
  },
  {
    name: "going back to what failed",
    slots: ["antipode_1.0.0+0-3.efi", "antipode_1.1.0.efi"],
    act: choose("1.0.0"),
    goal: "1.0.0",
  },
  {
    name: "going forward to what failed",
    slots: ["antipode_1.0.0.efi", "antipode_1.1.0+0-3.efi"],
    act: choose("1.1.0"),
    goal: "1.1.0",
  },
  { name: "going forward", slots: ["antipode_1.0.0.efi", "antipode_1.1.0+0.efi"], act: choose("1.1.0"), goal: "1.1.0" },
  {
    name: "marking good",
    slots: ["antipode_1.0.0.efi", "antipode_1.1.0+3.efi"],
    act: (firmware) => firmware.markGood(),
    goal: "1.1.0",
    goalIsGood: true,
  },
];

/** What every version does first when it is started: the check of the partition, and `tidy`. */
function early(files: MemoryFiles, second: 0 | 1): void {
  if (files instanceof FatFiles) files.check(second);
  for (const [path, { length }] of files.contents) {
    if (path.startsWith(`${FOLDER}/`) && (length === 0 || path.endsWith(".incoming"))) files.contents.delete(path);
  }
}

/** What systemd-boot would start: it passes over files without content. */
function imagesOf(files: MemoryFiles): readonly (readonly [name: string, content: Uint8Array])[] {
  return [...files.contents].flatMap(([path, content]) =>
    path.startsWith(`${FOLDER}/`) && path.endsWith(".efi") && content.length > 0
      ? [[path.slice(FOLDER.length + 1), content]]
      : [],
  );
}

describe.each([
  ["whose renames are whole", MemoryFiles],
  ["of FAT", FatFiles],
])("a power cut at every step, on a partition %s", (_, Partition) => {
  describe.each(SCENARIOS)("in $name", ({ slots, room, act, goal, goalIsGood = false }) => {
    const cut = async (steps: number, second: 0 | 1, works: (version: string) => boolean) => {
      const fixture = started(slots, "1.2.0", new Partition());
      if (room !== undefined) fixture.files.capacity = (await usedBytes(fixture.files)) + room;
      const ran = fixture.machine.running;
      fixture.files.cutAfter(steps);
      const isWhole = await act(fixture.firmware).then(
        () => true,
        (error) => {
          expect(error).toMatchObject({ code: "file.failed" });
          return false;
        },
      );
      return {
        ...fixture,
        ran,
        isWhole,
        machine: new Machine(fixture.files, works, () => early(fixture.files, second)),
      };
    };

    /** Cuts after 0, 1, 2 … steps, until the last cut comes too late. */
    const each = async (
      works: (version: string) => boolean,
      look: (after: Awaited<ReturnType<typeof cut>>) => Promise<void>,
    ) => {
      for (const second of [0, 1] as const) {
        for (let steps = 0; ; steps++) {
          const after = await cut(steps, second, works);
          after.files.restore();
          await look(after);
          if (!after.isWhole) continue;
          expect(steps).toBeGreaterThan(0);
          break;
        }
      }
    };

    it("leaves no part of an image under a name that is started, nor three versions, and the one that ran whole", async () => {
      await each(
        () => true,
        async ({ files, ran }) => {
          const images = imagesOf(files);
          for (const [name, content] of images) {
            const [, text = ""] = /_([0-9.]+?)(?:\+|\.efi)/.exec(name) ?? [];
            expect(content, name).toEqual(ukiOf(text));
          }
          expect(new Set(images.map(([name]) => name.replace(/\+.*|\.efi$/, ""))).size).toBeLessThanOrEqual(2);
          expect(images.some(([name]) => name.startsWith(`antipode_${ran}`))).toBe(true);
        },
      );
    });

    it("leaves what ran or what was to run, and the change can be made again", async () => {
      await each(
        () => true,
        async ({ machine, firmware, ran, isWhole }) => {
          const first = machine.comeUp();
          // After the start the check of the partition may keep the other name; then the second start settles it.
          const running = machine.comeUp();
          if (Partition === MemoryFiles) expect(running).toBe(first);
          for (const started of [first, running]) expect(isWhole ? [goal] : [ran, goal]).toContain(started);
          await firmware.markGood();
          expect(machine.comeUp()).toBe(running);
          if (running !== goal) await act(firmware);
          expect(machine.comeUp()).toBe(goal);
          expect(await firmware.markGood()).not.toBe("set-aside");
          expect(machine.comeUp()).toBe(goal);
        },
      );
    });

    it("leaves a version that works, though what was to run does not", async () => {
      if (goalIsGood) return;
      await each(
        (version) => version !== goal,
        async ({ machine, firmware, ran }) => {
          const running = machine.comeUp();
          if (ran !== goal) expect(running).toBe(ran);
          expect(running).not.toBe(goal);
          await firmware.markGood();
          expect(machine.comeUp()).toBe(running);
        },
      );
    });

    it("that ended only the process leaves the change to be made again at once", async () => {
      if (Partition === FatFiles) return;
      await each(
        () => true,
        async ({ machine, firmware, isWhole }) => {
          if (!isWhole) await act(firmware);
          expect(machine.comeUp()).toBe(goal);
        },
      );
    });
  });
});

it("the machine under test is given its variables anew at each start", () => {
  const { files } = started(["antipode_1.1.0.efi"]);
  expect([...files.contents.keys()].filter((path) => path.startsWith(EFIVARS))).toEqual([
    variable("LoaderEntrySelected"),
  ]);
});
