import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseConfig } from "../config/config.ts";
import { Revisions } from "../config/revisions.ts";
import { MemoryFiles } from "../platform/memory/memory-files.ts";
import { MemoryUniverse } from "../platform/memory/memory-world.ts";
import { Conversation, ConversationEnded } from "./conversation.ts";
import type { Machine } from "./machine.ts";
import { Session } from "./session.ts";
import { TestScreen, testAppliance, testDrive, testMachine, typed } from "./testing.ts";

let universe: MemoryUniverse;
let files: MemoryFiles;
let revisions: Revisions;
let screen: TestScreen;
let conversation: Conversation;
let machine: Machine;
let look: () => Promise<Machine>;
let ended: Promise<string>;
/** What was carried out: revision, and whether drives were to be laid out anew. */
let applied: [number, boolean][];

beforeEach(async () => {
  universe = new MemoryUniverse("setup");
  const { clock } = universe.world("appliance");
  files = new MemoryFiles();
  revisions = new Revisions("/config", files, clock);
  machine = testMachine;
  look = async () => machine;
  applied = [];
  const appliance = testAppliance({
    clock,
    files,
    revisions,
    look: () => look(),
    apply: async ({ number }, how) => {
      applied.push([number, how?.overwrite ?? false]);
      return "The site runs on it.";
    },
  });
  screen = new TestScreen("dumb", 1000);
  conversation = new Conversation({
    write: async (bytes) => screen.write(new TextDecoder().decode(bytes)),
    settings: { kind: "dumb", columns: 200, rows: 0 },
    clock,
  });
  ended = new Session(conversation, appliance, "admin").run().then(
    () => "left",
    (error) => (error instanceof ConversationEnded ? error.message : Promise.reject(error)),
  );
  await shows("antipode> |");
});
afterEach(() => conversation.end("over"));

async function shows(line: string): Promise<void> {
  await universe.run(() => screen.line === line).catch(() => expect(screen.line).toBe(line));
}

/** Types lines, and waits for the prompt of either mode, or of a question. */
async function answer(lines: readonly string[], until: string): Promise<string> {
  screen.forget();
  conversation.feed(typed(`${lines.join("\r")}\r`));
  await shows(until);
  return screen.written.replaceAll("\r\n", "\n");
}

/** Each answer with what is asked for it, as far as the default. */
type Dialogue = readonly (readonly [question: string, answer: string])[];

/** Answers one question after the other, each only once it is asked. */
async function converse(dialogue: Dialogue, then: string): Promise<void> {
  conversation.feed(typed("setup\r"));
  for (const [question, text] of dialogue) {
    await shows(`${question}: |`);
    conversation.feed(typed(`${text}\r`));
  }
  await shows(then);
}

const COMMIT = "Commit it? (yes, no: change it first) [yes]";
const PRIMARY: Dialogue = [
  ["Name of this site", "denver"],
  ["Its location: latitude longitude [none]", "39.74, -104.99"],
  ["Role [primary]", ""],
  ["Consistency group [prod]", ""],
  ["Network card, by its number, or none [1]", ""],
  ["Its address/network length, or dhcp [dhcp]", "192.0.2.7/24"],
  ["Gateway [none]", "192.0.2.1"],
  ["Name servers [none]", ""],
  ["Time servers [none]", ""],
  ["Drive of the journal, by its number [6]", ""],
  ["Drives of the array, or none [3 4 5]", ""],
  ["RAID level: 1 or 5 [5]", ""],
  ["Name of the volume [vol0]", "db01"],
  ["Its size [199GiB]", "100GiB"],
  ["Its LUN [0]", ""],
  ["Name of the iSCSI target [iqn.2026-11.dev.antipode:prod]", ""],
  ["Addresses for hosts [192.0.2.7:3260]", ""],
  ["Initiators that may log in, or any [any]", ""],
  ["Sites of leg 1, or none [none]", "boulder"],
  ["Address of boulder [boulder:7400]", "192.0.2.8:7400"],
  ["Location of boulder: latitude longitude [none]", ""],
  ["Sites of leg 2, or none [none]", "relay-east boston"],
  ["Address of relay-east [relay-east:7400]", ""],
  ["Location of relay-east: latitude longitude [none]", ""],
  ["Address of boston [boston:7400]", ""],
  ["Location of boston: latitude longitude [none]", ""],
  ["Sites of leg 3, or none [none]", ""],
  ["Watchdog (i6300ESB timer), yes or no [yes]", ""],
];

const PRIMARY_YAML = `site:
  name: denver
  location: { latitude: 39.74, longitude: -104.99 }
group: prod
role: primary
drives:
  - /dev/disk/by-id/virtio-a
  - /dev/disk/by-id/virtio-b
  - /dev/disk/by-id/virtio-c
arrays:
  main: { level: 5, drives: [ 0, 1, 2 ] }
volumes:
  db01: { array: main, size: 100GiB, lun: 0 }
journal:
  device: /dev/pmem0
target:
  iqn: iqn.2026-11.dev.antipode:prod
  listen: [ 192.0.2.7:3260 ]
sites:
  boulder: { address: 192.0.2.8:7400 }
  relay-east: { address: relay-east:7400 }
  boston: { address: boston:7400 }
mirror:
  legs: [ [ boulder ], [ relay-east, boston ] ]
watchdog:
  timeout: 30s
network:
  interfaces: { eth0: { addresses: [ 192.0.2.7/24 ] } }
  gateway: 192.0.2.1
`;

describe("setup", () => {
  it("is offered at a login where nothing is configured", async () => {
    expect(screen.written).toContain("Nothing is configured yet: type setup");
  });

  it("leads from bare drives to a committed configuration", async () => {
    await converse(PRIMARY, `${COMMIT}: |`);
    expect(screen.text).toContain(PRIMARY_YAML.trimEnd());
    expect(screen.text).toContain("Valid: site denver, primary of group prod.");
    expect(screen.text).toContain("warning: Any initiator that reaches 192.0.2.7:3260 may log in");
    expect(await revisions.numbers()).toEqual([]);
    expect(await answer([""], "denver> |")).toContain("Revision 1 is committed.\nThe site runs on it.");
    expect(await revisions.read(1)).toMatchObject({ text: PRIMARY_YAML, author: "admin", comment: "setup" });
    expect(applied).toEqual([[1, false]]);
    expect(await answer(["setup"], "denver> |")).toContain("setup.configured");
  });

  it("takes a script that does not wait for its questions", async () => {
    await answer(["setup", ...PRIMARY.map(([, text]) => text), "yes"], "denver> |");
    expect((await revisions.read(1)).text).toBe(PRIMARY_YAML);
  });

  it("says what is wrong with an answer, and asks again", async () => {
    const wrong: Dialogue = [
      ["Name of this site", ""],
      ["Name of this site", "Denver!"],
      ["Name of this site", "denver"],
      ["Its location: latitude longitude [none]", "39"],
      ["Its location: latitude longitude [none]", "99 0"],
      ["Its location: latitude longitude [none]", ""],
      ["Role [primary]", "boss"],
      ["Role [primary]", ""],
      ["Consistency group [prod]", ""],
      ["Network card, by its number, or none [1]", "7"],
      ["Network card, by its number, or none [1]", "eth0"],
      ["Its address/network length, or dhcp [dhcp]", "192.0.2.7"],
      ["Its address/network length, or dhcp [dhcp]", "192.0.2.7/24"],
      ["Gateway [none]", "198.51.100.1"],
      ["Gateway [none]", ""],
      ["Name servers [none]", "dns.example"],
      ["Name servers [none]", ""],
      ["Time servers [none]", ""],
      ["Drive of the journal, by its number [6]", "1"],
      ["Drive of the journal, by its number [6]", "3 4"],
      ["Drive of the journal, by its number [6]", "3"],
      ["Drives of the array, or none [4 5]", "3 4"],
      ["Drives of the array, or none [4 5]", "4 9"],
      ["Drives of the array, or none [4 5]", ""],
      ["RAID level: 1 or 5 [1]", "5"],
      ["RAID level: 1 or 5 [1]", "6"],
      ["RAID level: 1 or 5 [1]", ""],
      ["Name of the volume [vol0]", ""],
      ["Its size [99GiB]", "100 GB"],
      ["Its size [99GiB]", "1TiB"],
      ["Its size [99GiB]", ""],
      ["Its LUN [0]", "300"],
    ];
    await converse(wrong, "Its LUN [0]: |");
    expect(screen.text).toContain(`Name of this site:
  There is no default; ? tells more.
Name of this site: Denver!
  site.name: "Denver!" is not `);
    for (const fault of [
      "  Give two numbers, such as 39.74 -104.99, or none.",
      "  site.location.latitude: 99 is not a number of degrees from -90 to 90, north positive.",
      '  role: "boss" is not primary, backup, mirror or relay.',
      "  There is no card 7.",
      '  network.interfaces.eth0.addresses[0]: "192.0.2.7" is not an IP address',
      "  network.gateway: 198.51.100.1 is in no network of the 'addresses' that are given.",
      '  network.dns[0]: "dns.example" is not an IP address',
      "  Drive 1 is not to be had: the firmware's own drive.",
      "  Give one drive.",
      "  journal.device: /dev/disk/by-id/virtio-a is also drives[0]",
      "  There is no drive 9.",
      "  arrays.main.drives: has 2 of the 3 drives that level 5 needs at the least.",
      "  arrays.main.level: this version does not have 6 yet; use 1 or 5.",
      '  volumes.vol0.size: "100 GB" is not a size',
      "  The array holds 99.9 GiB, less than that.",
      "  volumes.vol0.lun: 300 is not a LUN",
    ]) {
      expect(screen.text).toContain(`\n${fault}`);
    }
  });

  it("tells more about a question, and completes its answers", async () => {
    await answer(["setup", "denver", ""], "Role [primary]: |");
    conversation.feed(typed("?"));
    await universe.run(() => screen.text.includes("  relay: passes what it is sent on"));
    await shows("Role [primary]: |");
    conversation.feed(typed("mi\t"));
    await shows("Role [primary]: mirror|");
    conversation.feed(typed("\x15\t"));
    await universe.run(() => screen.text.includes("  primary  backup  mirror  relay"));
    await shows("Role [primary]: |");
  });

  it("leaves room for an answer on a terminal that is narrower than its question", async () => {
    conversation.settings.columns = 40;
    conversation.feed(typed("setup\rdenver\r"));
    await shows("> |");
    expect(screen.text).toContain("\nIts location: latitude longitude [none]\n>");
  });

  it("is given up at Ctrl-C, at any of its questions, and nothing was changed", async () => {
    const questions = [...PRIMARY, [COMMIT, ""] as const];
    for (const [at, [question]] of questions.entries()) {
      await converse(questions.slice(0, at), `${question}: |`);
      conversation.feed(typed("\x03"));
      await shows("antipode> |");
      expect(screen.text).toContain("Given up; nothing was changed.");
      expect(files.steps).toBe(0);
    }
    expect(applied).toEqual([]);
  });

  it("is given up while it looks at the machine", async () => {
    const looking = Promise.withResolvers<Machine>();
    look = () => looking.promise;
    conversation.feed(typed("setup\r"));
    await universe.run(() => screen.text.includes("setup\n"));
    conversation.feed(typed("\x03"));
    looking.resolve(testMachine);
    await shows("antipode> |");
    expect(screen.text).not.toContain("Name of this site");
  });

  it("changes nothing when the line is hung up in the middle", async () => {
    await converse(PRIMARY, `${COMMIT}: |`);
    conversation.end("hung up");
    expect(await universe.result(ended)).toBe("hung up");
    expect(files.steps).toBe(0);
  });

  it("leaves the answers in configuration mode where they are to be changed first", async () => {
    await converse(PRIMARY, `${COMMIT}: |`);
    expect(await answer(["maybe", "no"], "antipode# |")).toContain("Answer yes or no.");
    await answer(["set group other", "commit"], "denver# |");
    expect((await revisions.read(1)).text).toBe(PRIMARY_YAML.replace("group: prod", "group: other"));
    expect(applied).toEqual([[1, false]]);
  });

  it("lays drives out anew that are not blank, only where that is wanted", async () => {
    const journal = "Drive of the journal, by its number [6]";
    const at = PRIMARY.findIndex(([question]) => question === journal);
    const chosen: Dialogue = [
      ...PRIMARY.slice(0, at + 1),
      ["Drives of the array, or none [3 4 5]", "2 3 4"],
      ...PRIMARY.slice(at + 2),
    ];
    await converse(chosen, "Lay out ALL of this site's drives anew [no]: |");
    expect(screen.text).toContain("  /dev/disk/by-id/virtio-old  a GPT partition table\n");
    expect(await answer(["perhaps", "yes"], `${COMMIT}: |`)).toContain("everything on its drives will be lost");
    await answer(["yes"], "denver> |");
    expect(applied).toEqual([[1, true]]);
  });

  it("makes a mirror site, which has to store", async () => {
    const start = ["setup", "boulder", "", "mirror", "", "", "dhcp", "", ""];
    const shown = await answer([...start, "none", "", "", "", "", "100GiB", "", "denver", "", "", "yes"], "boulder> |");
    expect(shown).toContain("  drives: is missing: a mirror site needs it.");
    const config = parseConfig((await revisions.read(1)).text, "c.yaml");
    expect(config).toMatchObject({
      role: "mirror",
      arrays: { main: { level: 5, drives: [0, 1, 2] } },
      link: { from: ["denver"], listen: { host: "0.0.0.0", port: 7400 } },
      network: { interfaces: { eth0: { dhcp: true } } },
    });
    expect(applied).toEqual([[1, false]]);
  });

  it("lets a primary store nothing where it has legs", async () => {
    machine = { drives: [testDrive("/dev/vdb", 8)], cards: [] };
    const start = ["setup", "denver", "", "", "", "", "none", "", "8GiB", "", "", "", ""];
    const shown = await answer([...start, "none"], "Sites of leg 1, or none [none]: |");
    expect(shown).toContain("  arrays: is missing: a primary without legs needs an array to store on.");
    const left = await answer(["boulder", "", "", "", "yes"], "denver> |");
    expect(left).toContain("warning: Only one leg carries the writes away from here");
    expect(left).not.toContain("will be lost");
    expect(parseConfig((await revisions.read(1)).text, "c.yaml")).toMatchObject({
      arrays: {},
      mirror: { legs: [["boulder"]] },
    });
    expect(applied).toEqual([[1, true]]);
  });

  it("makes a relay point without storage, whose journal is laid out at once", async () => {
    machine = { drives: [testDrive("/dev/vdb", 8)], cards: [] };
    const answers = [
      "setup",
      "relay-east",
      "",
      "relay",
      "",
      "",
      "",
      "db01",
      "100GiB",
      "",
      "denver",
      "",
      "boston",
      "",
      "",
      "end",
    ];
    await answer([...answers, ""], "relay-east> |");
    expect((await revisions.read(1)).text).toBe(`site:
  name: relay-east
group: prod
role: relay
volumes:
  db01: { size: 100GiB, lun: 0 }
journal:
  device: /dev/vdb
sites:
  boston: { address: boston:7400 }
relay:
  forward: [ boston ]
  acknowledge: end
link:
  listen: 0.0.0.0:7400
  from: [ denver ]
`);
    expect(applied).toEqual([[1, true]]);
  });
});
