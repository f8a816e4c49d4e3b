import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { Revisions } from "../config/revisions.ts";
import { MemoryFiles } from "../platform/memory/memory-files.ts";
import { MemoryUniverse } from "../platform/memory/memory-world.ts";
import type { CommandResult } from "../site/commands.ts";
import type { Appliance } from "./appliance.ts";
import { Confirmation } from "./confirmation.ts";
import { Conversation, ConversationEnded } from "./conversation.ts";
import { Session } from "./session.ts";
import { lampsOff, TestScreen, testAppliance, typed } from "./testing.ts";

const YAML = `# the site in Boston
site: { name: boston }
group: prod
role: mirror
drives: [ { path: /dev/a, size: 1GiB }, { path: /dev/b, size: 1GiB } ]
arrays: { main: { level: 1, drives: [ 0, 1 ] } }
volumes: { db01: { array: main, size: 512MiB, lun: 7 } }
journal: { device: /dev/pmem0, size: 64MiB } # NVDIMM
link: { listen: "[::]:7400", from: [ denver ] }
`;

let universe: MemoryUniverse;
let files: MemoryFiles;
let revisions: Revisions;
let screen: TestScreen;
let conversation: Conversation;
let appliance: Appliance;
let confirmation: Confirmation;
let ended: Promise<string>;
/** What the site was asked, and what was carried out. */
let asked: string[];
let applied: number[];
/** Files outside of the appliance that were read or written. */
let reached: string[];
let answer: (words: string, signal: AbortSignal) => Promise<CommandResult>;

beforeEach(async () => {
  universe = new MemoryUniverse("console");
  const { clock } = universe.world("boston");
  files = new MemoryFiles();
  revisions = new Revisions("/config", files, clock);
  asked = [];
  applied = [];
  reached = [];
  answer = async (words) => ({ value: undefined, text: `answer to ${words}\n`, exitCode: 0 });
  appliance = testAppliance({
    clock,
    files,
    revisions,
    ask: (words, _, signal) => {
      asked.push(words.join(" "));
      return answer(words.join(" "), signal);
    },
    reach: async (path, work) => {
      reached.push(path);
      return work();
    },
    apply: async ({ number }) => {
      applied.push(number);
      return "The site runs on it.";
    },
  });
  await revisions.commit({ text: YAML, author: "setup", base: 0 });
  // Wide, since it does not wrap.
  screen = new TestScreen("vt100", 1000);
  conversation = new Conversation({
    write: async (bytes) => screen.write(new TextDecoder().decode(bytes)),
    settings: { kind: "vt100", columns: 100, rows: 0 },
    clock,
  });
  confirmation = new Confirmation(appliance, (text) => conversation.notice(text), fail);
  await confirmation.watch();
  ended = new Session(conversation, appliance, "ada").run().then(
    () => "left",
    (error) => (error instanceof ConversationEnded ? error.message : Promise.reject(error)),
  );
  await shows("boston> |");
});

afterEach(() => {
  confirmation.close();
  conversation.end("over");
});

function fail(error: unknown): never {
  throw error;
}

/** Waits until the cursor's line is this. */
async function shows(line: string): Promise<void> {
  await universe.run(() => screen.line === line).catch(() => expect(screen.line).toBe(line));
}

/** Types lines one after the other. @returns all that the last one brought */
async function say(...lines: string[]): Promise<string> {
  for (const line of lines) {
    screen.forget();
    const before = screen.written;
    conversation.feed(typed(`${line}\r`));
    await universe.run(() => screen.written !== before && /^boston[>#] \|$/.test(screen.line));
  }
  const [, ...rest] = screen.written.replaceAll("\r\n", "\n").split("\n");
  return rest.slice(0, -1).join("\n");
}

describe("operational mode", () => {
  it("asks the site what its table has, shortened or not", async () => {
    expect(await say("show status")).toBe("answer to show status");
    expect(await say("sh j")).toBe("answer to show journal");
    expect(await say("verify db01")).toBe("answer to verify db01");
    expect(await say('array add main "/dev/a b" overwrite')).toContain("answer");
    expect(asked.at(-1)).toBe("array add main /dev/a b overwrite");
  });

  it("says what is wrong, and goes on", async () => {
    expect(await say("shwo status")).toBe(
      "Error: There is no command 'shwo'.\n  What to do: Did you mean show? Known are show, clear, verify, repair, array, firmware, restart, power-off, support, factory, locate, monitor, configure, setup, confirm, terminal, help or exit.\n  (command.unknown)",
    );
    answer = () => Promise.reject(new OperatingError("site.broken", "It is broken.", "Mend it."));
    expect(await say("show status")).toContain("Error: It is broken.\n  What to do: Mend it.\n  (site.broken)");
    expect(await say("", "confirm")).toContain("revision.confirmed");
  });

  it("shows configuration and revisions", async () => {
    expect(await say("show configuration journal")).toBe("device: /dev/pmem0\nsize: 64MiB\n# NVDIMM");
    expect(await say("show configuration")).toContain("# the site in Boston");
    expect(await say("show revisions")).toMatch(/^ {2}1 {2}2026-11-01 00:00:\d\d UTC {2}setup$/);
    expect(await say("show revision 9")).toContain("There are 1 to 1.");
  });

  it("installs firmware, goes back from it, and restarts", async () => {
    expect(await say("show appliance")).toContain("Antipode 1.2.3 at 192.0.2.1");
    expect(await say("show firmware")).toMatch(/running {2}1\.2\.3\nnext {5}1\.2\.3/);
    expect(await say("firmware install /update/new.update")).toMatch(/next {5}1\.3\.0/);
    expect(await say("firmware rollback")).toMatch(/next {5}1\.2\.2/);
    expect(await say("firmware rollback 1.2.0")).toMatch(/next {5}1\.2\.0/);
  });

  it("asks before it ends what others rely on, unless the command says yes", async () => {
    answer = () => Promise.reject(new OperatingError("command.no-site", "None runs.", "Start one."));
    expect(await say("restart")).toBe("It starts anew.");
    const value = { site: "denver", role: "primary", state: "SERVING", target: { sessions: [1, 2] } };
    answer = async () => ({ value, text: "", exitCode: 0 });
    expect(await say("restart yes")).toBe("It starts anew.");
    expect(await say("power-off yes")).toBe("It is off.");
    expect(await say("restart now")).toContain("command.parameters");
    for (const [typedAnswer, end] of [
      ["no", "Nothing is ended."],
      ["", "Nothing is ended."],
      ["yes", "It is off."],
    ]) {
      conversation.feed(typed("power-off\r"));
      await shows("Go on? (yes, no) [no]: |");
      expect(screen.text).toContain(
        "Site denver is SERVING, with 2 sessions of hosts, which wait until it is switched on again.",
      );
      expect(await say(typedAnswer)).toBe(end);
    }
  });

  it("shows the reservations that are to be ended, and asks", async () => {
    const port = "iqn.1993-08.org.debian:01:db1,i,0x00023d000001";
    const initiators = [{ port, key: "0000000000000001", holds: true }];
    const value = [
      { volume: "db01", lun: 0, reservation: "write exclusive", persists: false, initiators },
      { volume: "db02", lun: 1, persists: false, initiators: [] },
    ];
    answer = async (words) => ({
      value: words.startsWith("show") ? value : undefined,
      text: `${words}\n`,
      exitCode: 0,
    });
    for (const [typedAnswer, end] of [
      ["no", "Nothing is ended."],
      ["yes", "clear reservation db01 yes"],
    ]) {
      conversation.feed(typed("clear reservation db01\r"));
      await shows("Go on? (yes, no) [no]: |");
      expect(screen.text).toContain(`${port}, holds it`);
      expect(screen.text).not.toContain("db02");
      expect(await say(typedAnswer)).toBe(end);
    }
    expect(asked).toEqual(["show reservations", "show reservations", "clear reservation db01 yes"]);
    expect(await say("clear reservation db01 yes")).toBe("clear reservation db01 yes");
    // What there is to say of an unknown volume, or of one without reservations, the site says.
    expect(await say("clear reservation db02")).toBe("clear reservation db02 yes");
    expect(await say("clear reservation db01 no")).toContain("command.parameters");
    // Of one initiator, what is its own.
    expect(await say("clear registration db01 iqn.2026-11.example:other")).toMatch(/other yes$/);
    conversation.feed(typed("clear registration db01 iqn.1993-08.org.debian:01:db1\r"));
    await shows("Go on? (yes, no) [no]: |");
    expect(await say("yes")).toBe("clear registration db01 iqn.1993-08.org.debian:01:db1 yes");
  });

  it("does not wait for a site that is frozen before it ends the machine", async () => {
    answer = (_, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    conversation.feed(typed("restart\r"));
    await universe.run(() => asked.length === 1);
    await universe.advance(4000);
    await shows("Go on? (yes, no) [no]: |");
    expect(screen.text).toContain("A site runs here that does not answer.");
    expect(await say("yes")).toBe("It starts anew.");
  });

  it("writes a support bundle to a file that is named, or to a stick", async () => {
    expect(await say("support bundle /usb/boston.tar.gz")).toMatch(
      /^Gathering\.\n\/usb\/boston\.tar\.gz has .* KiB\.$/,
    );
    expect(reached).toEqual(["/usb/boston.tar.gz"]);
    const packed = new TextDecoder().decode(files.contents.get("/usb/boston.tar.gz"));
    expect(packed).toContain("== boston-support/configuration/revision-1.yaml");
    expect(await say("support bundle /config/x")).toContain("command.parameters");
  });

  it("forgets everything only where the site's name is typed", async () => {
    for (const [typedName, end] of [
      ["yes", "Nothing is removed."],
      ["\x03", "Nothing is removed."],
      ["boston", "It starts anew, empty."],
    ]) {
      conversation.feed(typed("factory reset\r"));
      await shows("Type boston to have it so: |");
      expect(screen.text).toMatch(/What is\s+on the data drives/);
      screen.forget();
      conversation.feed(typed(`${typedName}\r`));
      await universe.run(() => screen.written.includes(end));
      await shows("boston> |");
    }
  });

  it("shows which drive is meant, until a key or for a time", async () => {
    lampsOff.length = 0;
    conversation.feed(typed("locate /dev/bay3\r"));
    await universe.run(() => screen.text.includes("The lamp of its bay blinks for 60 s; any key ends that."));
    conversation.feed(typed("\x1b[A"));
    await shows("boston> |");
    expect(lampsOff).toEqual(["/dev/bay3"]);
    conversation.feed(typed("locate /dev/a 5\r"));
    await universe.run(() => screen.text.includes("activity lamp blinks for 5 s"));
    expect(lampsOff.length).toBe(1);
    await universe.advance(5000);
    await shows("boston> |");
    expect(lampsOff).toEqual(["/dev/bay3", "/dev/a"]);
    expect(await say("locate /dev/a 0")).toContain("0 is not a number of seconds");
    conversation.feed(typed("locate /dev/a\r"));
    await universe.run(() => screen.text.includes("for 60 s"));
    conversation.end("hung up");
    await universe.run(() => lampsOff.length === 3);
  });

  it("lists the commands, and leaves", async () => {
    expect(await say("help")).toContain("array add ARRAY DRIVE [overwrite]          rebuild");
    conversation.feed(typed("\x04"));
    expect(await universe.result(ended)).toBe("left");
  });

  it("stops waiting for a command at Ctrl-C, and takes what was typed ahead after it", async () => {
    answer = (_, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    conversation.feed(typed("verify\rshow journal\r"));
    await universe.run(() => asked.length === 1);
    conversation.feed(typed("show mirror\r\x03"));
    await shows("boston> |");
    expect(asked).toEqual(["verify"]);
    answer = async (words) => ({ value: undefined, text: `${words}\n`, exitCode: 0 });
    conversation.feed(typed("show array\rshow sessions\r"));
    await universe.run(() => asked.length === 3);
  });

  it("draws the state again until a key", async () => {
    let times = 0;
    answer = async () => ({ value: undefined, text: `state ${++times}\n`, exitCode: 0 });
    conversation.feed(typed("monitor\r"));
    await universe.run(() => times === 3);
    expect(screen.text).toContain("state");
    conversation.feed(typed("q"));
    await universe.run(() => screen.line === "boston> |");
    const until = times;
    await universe.advance(10_000);
    expect(times).toBe(until);
  });

  it("shows only changes of the state on a dumb terminal", async () => {
    await say("terminal dumb");
    screen.forget();
    let times = 0;
    answer = async () => ({ value: undefined, text: `state ${Math.floor(++times / 3)}\n`, exitCode: 0 });
    conversation.feed(typed("monitor\r"));
    await universe.run(() => times === 5);
    conversation.feed(typed("q"));
    await shows("boston> |");
    expect(screen.written.match(/state \d/g)).toEqual(["state 0", "state 1"]);
    expect(screen.written).not.toContain("\x1b");
  });

  it("stops after each page of a terminal that has rows", async () => {
    await say("terminal length 5");
    answer = async () => ({
      value: undefined,
      text: Array.from({ length: 12 }, (_, at) => `${at}\n`).join(""),
      exitCode: 0,
    });
    conversation.feed(typed("show status\r"));
    const more = "-- more: space for a page, Enter for a line, q to stop --|";
    await shows(more);
    expect(screen.text).toContain("3\n--");
    conversation.feed(typed("\r"));
    await universe.run(() => screen.text.includes("4\n--"));
    conversation.feed(typed("x "));
    await universe.run(() => screen.text.includes("8\n--"));
    conversation.feed(typed("q"));
    await shows("boston> |");
    expect(screen.text).not.toContain("\n9");
  });
});

describe("configuration mode", () => {
  it("changes a candidate, compares, checks and commits it", async () => {
    expect(await say("configure", "set vol.db02 { array: main, size: 1MiB, lun: 8 }")).toBe("");
    await say("delete journal.size", "set journal.cache 256MiB");
    const compared = await say("compare");
    expect(compared).toContain("- journal: { device: /dev/pmem0, size: 64MiB } # NVDIMM");
    expect(compared).toContain("+ journal: { device: /dev/pmem0, cache: 256MiB } # NVDIMM");
    expect(await say("check")).toMatch(
      /^Valid: site boston, mirror of group prod\.\n {2}warning: The location of boston is not known/,
    );
    expect(await say("commit comment room for the logs")).toBe("Revision 2 is committed.\nThe site runs on it.");
    expect(applied).toEqual([2]);
    expect(await revisions.read(2)).toMatchObject({ author: "ada", comment: "room for the logs" });
    expect((await revisions.read(2)).text).toContain("# the site in Boston");
    expect(await say("compare")).toBe("Nothing differs.");
    expect(await say("compare 1")).toContain("+ ");
    expect(await say("exit", "show revisions")).toContain("room for the logs");
  });

  it("refuses to commit what is wrong, naming every place", async () => {
    await say("configure", "set journal.cache 5parsecs", "set volumes.db01.array other");
    const refused = await say("commit");
    expect(refused).toMatch(
      /^Error: \/config\/candidate can't be used:\n {2}volumes.db01.array: there is no array other.*\n {2}journal.cache: /,
    );
    expect(applied).toEqual([]);
    expect(await say("exit")).toContain("command.uncommitted");
    expect(await say("run exit")).toContain("command.uncommitted");
    expect(await say("discard", "exit", "show revisions")).not.toContain("2  ");
  });

  it("takes up an older revision", async () => {
    await say("configure", "set group other", "commit", "rollback 1");
    expect(await say("compare")).toContain("- group: other\n+ group: prod");
    await say("commit");
    expect((await revisions.read(3)).text).toBe(YAML);
  });

  it("refuses to commit over what another committed", async () => {
    await say("configure", "set group mine");
    await revisions.commit({ text: YAML.replace("prod", "theirs"), author: "bob", base: 1 });
    expect(await say("commit")).toContain("Revision 2 was committed by bob since");
  });

  it("saves and loads files, and what is pasted", async () => {
    await say("configure", "set group saved", "save /usb/site.yaml", "discard", "load /usb/site.yaml");
    expect(await say("compare")).toContain("+ group: saved");
    expect(await say("load /usb/none.yaml")).toContain("There is no file");
    expect(reached).toEqual(["/usb/site.yaml", "/usb/site.yaml", "/usb/none.yaml"]);
    expect(await say("load site.yaml")).toContain("Give one that starts with '/'");
    expect(await say("save /config/../config/revision-1.yaml")).toContain("where revisions are kept");
    conversation.feed(typed("load terminal\r"));
    await universe.run(() => screen.text.includes("Ctrl-C gives it up."));
    conversation.feed(typed(`${YAML.replace("group: prod", "group: pasted").replaceAll("\n", "\r")}\x04`));
    await shows("boston# |");
    expect(screen.text).not.toContain("pasted");
    expect(await say("compare")).toContain("+ group: pasted");
    conversation.feed(typed("load terminal\rgroup: [\r\x04"));
    await universe.run(() => screen.text.includes("config.invalid"));
    conversation.feed(typed("load terminal\rgroup: x\r\x03"));
    await universe.run(() => screen.text.includes("Nothing was loaded."));
  });

  it("takes a whole script at once", async () => {
    const script = ["configure", "set group scripted", "set journal.cache 64MiB", "commit", "exit", "show status", ""];
    conversation.feed(typed(script.join("\r")));
    await universe.run(() => asked.length === 1);
    expect((await revisions.read(2)).text).toContain("group: scripted");
  });

  it("begins from the revision before where the newest can't be read", async () => {
    files.contents.set("/config/revision-2.yaml", typed("rot"));
    expect(await say("configure")).toContain("/config/revision-2.yaml is not as it was written");
    expect(await say("commit")).toContain("Revision 3 is committed.");
    expect((await revisions.read(3)).text).toBe(YAML);
    expect(await say("run show revisions")).toContain("2  can't be read");
  });

  it("says when carrying it out fails, or its writing", async () => {
    files.cutAfter(0);
    expect(await say("configure", "set group other", "commit")).toContain("file.failed");
    files.restore();
    expect(await say("commit")).toContain("Revision 2 is committed.");
  });
});

describe("commit confirmed", () => {
  it("goes back by itself, and carries that out", async () => {
    expect(await say("configure", "set group daring", "commit confirmed 10")).toContain("within 10 min");
    await universe.advance(9 * 60_000);
    expect(applied).toEqual([2]);
    conversation.feed(typed("half a li"));
    await universe.advance(61_000);
    await universe.run(() => applied.length === 2);
    expect(applied).toEqual([2, 3]);
    expect((await revisions.read(3)).text).toBe(YAML);
    await shows("boston# half a li|");
    expect(screen.text).toContain("Nobody confirmed the last commit. Revision 3: back to revision 1");
  });

  it("is gone back from by one of two consoles, and told by both", async () => {
    const told: string[] = [];
    const others = new Revisions("/config", files, appliance.clock);
    const other = new Confirmation({ ...appliance, revisions: others }, (text) => told.push(text), fail);
    await other.watch();
    await say("configure", "set group daring", "commit confirmed 10");
    await universe.advance(10 * 60_000 + 6000);
    other.close();
    expect(applied).toEqual([2, 3]);
    expect(await revisions.numbers()).toEqual([3, 2, 1]);
    for (const text of [told.join(""), screen.text]) {
      expect(text).toContain("Nobody confirmed the last commit. Revision 3: back to revision 1");
      expect(text).not.toContain("failed");
    }
    expect(`${told.join("")}${screen.text}`).toContain("Another console carries that out.");
  });

  it("does so without anybody there", async () => {
    await say("configure", "set group daring", "commit confirmed 10");
    conversation.end("hung up");
    expect(await universe.result(ended)).toBe("hung up");
    await universe.advance(10 * 60_000 + 1000);
    expect(applied).toEqual([2, 3]);
  });

  it("stays when it is confirmed, in either mode or by a commit", async () => {
    for (const how of ["confirm", "run confirm", "commit"]) {
      const group = how.replace(" ", "-");
      await say("configure", `set group ${group}`, "commit confirmed 10");
      expect(await say(how)).toMatch(/Revision \d is confirmed\./);
      await universe.advance(20 * 60_000);
      expect((await revisions.newest())?.text).toContain(`group: ${group}`);
      await say("exit");
    }
  });

  it("refuses a time that is none", async () => {
    expect(await say("configure", "set group x", "commit confirmed soon")).toContain("soon is not a number of minutes");
  });
});

describe("completion", () => {
  it.each([
    ["sh\t", "boston> show |"],
    ["sh\tst\t", "boston> show status |"],
    ["verify \t", "boston> verify db01 |"],
    ["locate /\t", "boston> locate /dev/|"],
    ["locate /dev/b\t", "boston> locate /dev/b |"],
    ["show revision 1\t", "boston> show revision 1 |"],
    ["conf\t", "boston> confi|"],
    ["configure\rset vol\tdb01.si\t", "boston# set volumes.db01.size |"],
    ["configure\rset j.de\t", "boston# set journal.device |"],
    ["configure\rset volumes.db01.blockSize 5\t", "boston# set volumes.db01.blockSize 512 |"],
    ["configure\rrun sh\tar\t", "boston# run show array |"],
    ["configure\rcom\t", "boston# com|"],
    ["zzz\t", "boston> zzz|"],
  ])("of %j shows %j", async (keys, line) => {
    conversation.feed(typed(keys));
    await shows(line);
  });

  it("tells what may stand there, and what for", async () => {
    await say("configure");
    conversation.feed(typed("set journal.cache ?"));
    await shows("boston# set journal.cache |");
    expect(screen.text).toContain("a size such as 128MiB");
    conversation.feed(typed("\x15set role ?"));
    await universe.run(() => screen.text.includes("  relay\n"));
    conversation.feed(typed("\x15commit ?"));
    await universe.run(() => screen.text.includes("<Enter>"));
    expect(screen.text).toMatch(/confirmed +the same/);
    conversation.feed(typed("\x15set volumes.?"));
    await universe.run(() => screen.text.includes("volumes.db01."));
    conversation.feed(typed("\x15load ?"));
    await universe.run(() => screen.text.includes("a whole path"));
  });
});

describe("secrets", () => {
  it("are asked for without a trace on the terminal, in the history or in messages", async () => {
    await say("configure");
    // The schema decides what may be committed; a candidate hides what is called a secret whatever it is in.
    conversation.feed(typed("set target.secret\r"));
    await universe.run(() => screen.text.includes("unknown key"));
    expect(await say('set sites.a { secret: "hunter" }')).toContain("command.secret");
    conversation.feed(typed("\x10"));
    await universe.run(() => screen.line !== "boston# |");
    expect(screen.line).not.toContain("hunter");
  });
});

it("hides what comes from elsewhere from the terminal's own codes", async () => {
  answer = async () => ({ value: undefined, text: "from \x1b[2J\x9b7m\x07 evil\n", exitCode: 0 });
  expect(await say("show sessions")).toBe("from ?[2J?7m? evil");
});
