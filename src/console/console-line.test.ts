import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Revisions } from "../config/revisions.ts";
import { MemoryFiles } from "../platform/memory/memory-files.ts";
import { MemoryUniverse } from "../platform/memory/memory-world.ts";
import { plainPasswords } from "../platform/memory/plain-passwords.ts";
import { type SimulatedLine, SimulatedTerminals } from "../platform/memory/simulated-terminal.ts";
import type { CommandResult } from "../site/commands.ts";
import type { Appliance } from "./appliance.ts";
import { type Access, ConsoleLine, type ConsoleLineOptions } from "./console-line.ts";
import { Login } from "./login.ts";
import { testAppliance } from "./testing.ts";
import { Users } from "./users.ts";

const TTY = "/dev/ttyS0";
const USERS = "/config/users.json";

let universe: MemoryUniverse;
let files: MemoryFiles;
let users: Users;
let terminals: SimulatedTerminals;
let tty: SimulatedLine;
let appliance: Appliance;
let events: string[];
let login: Login;
let lines: { line: ConsoleLine; served: Promise<string> }[];
let answers: (() => Promise<CommandResult>)[];

beforeEach(() => {
  universe = new MemoryUniverse("lines");
  const { clock, random } = universe.world("boston");
  files = new MemoryFiles();
  users = new Users(USERS, files, plainPasswords, random);
  terminals = new SimulatedTerminals();
  tty = terminals.add(TTY);
  answers = [];
  appliance = testAppliance({
    clock,
    files,
    revisions: new Revisions("/config", files, clock),
    ask: async () => (await answers.shift()?.()) ?? { value: undefined, text: "all is well\n", exitCode: 0 },
    describe: async () => "Antipode\n",
  });
  events = [];
  login = new Login(users, clock, (text) => events.push(text));
  lines = [];
});

afterEach(async () => {
  for (const { line } of lines) line.close();
  await universe.result(Promise.all(lines.map(({ served }) => served)));
});

function start(more: Partial<ConsoleLineOptions> = {}): ConsoleLine {
  const access: Access = { kind: "login", login, users };
  const line = new ConsoleLine({
    terminals,
    path: TTY,
    speed: 9600,
    kind: "dumb",
    access,
    appliance,
    ...more,
  });
  lines.push({ line, served: line.serve() });
  return line;
}

/** Types, and waits until the line shows what is expected after it. */
async function type(text: string, expected: string, on: SimulatedLine = tty): Promise<void> {
  const from = on.written.length;
  if (text !== "") on.type(text);
  await universe
    .run(() => on.written.slice(from).includes(expected))
    .catch(() => expect(on.written.slice(from)).toContain(expected));
}

async function loggedIn(name = "ada", password = "correct horse"): Promise<void> {
  await users.set(name, password);
  start();
  await type("", "login: ");
  await type(`${name}\r`, "password: ");
  await type(`${password}\r`, "antipode> ");
}

describe("the first login", () => {
  it("sets the password, twice the same and long enough", async () => {
    start();
    await type("", "new password: ");
    await type("short\r", "the same again: ");
    await type("short\r", "(users.password)\r\nnew password: ");
    await type("long enough\r", "the same again: ");
    await type("long enouhg\r", "The two were not the same.");
    await type("long enough\r", "the same again: ");
    await type("long enough\r", "antipode> ");
    expect(tty.written).not.toMatch(/short|enou/);
    expect(await users.verify("admin", "long enough")).toBe(true);
    await type("exit\r", "login: ");
  });
});

describe("a login", () => {
  it("lets in who knows the password, and nobody else", async () => {
    await loggedIn();
    await type("exit\r", "login: ");
    await type("ada\r", "password: ");
    await type("hunter\r", "That is not right.");
    await type("eve\r", "password: ");
    await type("correct horse\r", "That is not right.");
    expect(tty.written).not.toMatch(/hunter|horse/);
    expect(events).toEqual(["ada logged in", 'a login as "ada" was refused', 'a login as "eve" was refused']);
  });

  it("waits longer after each wrong answer, but not for ever, and also after hanging up", async () => {
    await users.set("ada", "correct horse");
    start();
    const times: number[] = [];
    for (let at = 0; at < 10; at++) {
      const from = universe.now;
      if (at === 0) await type("", "login: ");
      await type("ada\r", "password: ");
      await type("wrong\r", "That is not right.");
      times.push(Math.round((universe.now - from) / 1000));
      if (at % 3 === 2) {
        tty.hangUp();
        const before = tty.written.length;
        await universe.run(() => tty.written.slice(before).includes("login: "));
      }
    }
    // the time that a line takes to be opened again counts
    expect(times).toEqual([0, 1, 2, 2, 8, 16, 30, 60, 60, 58]);
    await type("ada\r", "password: ");
    await type("correct horse\r", "antipode> ");
    await type("exit\r", "login: ");
    await type("ada\r", "password: ");
    const from = universe.now;
    await type("wrong\r", "That is not right.");
    expect(universe.now - from).toBeLessThan(1000);
  });

  it("ends by itself when no key is pressed, but not while a command runs", async () => {
    await loggedIn();
    await universe.advance(9 * 60_000);
    await type("x\x08", "x");
    await universe.advance(9 * 60_000);
    expect(tty.written).not.toContain("Logged out");
    await universe.advance(61_000);
    expect(tty.written).toContain("Logged out: no key was pressed for 10 min.");
    expect(tty.written.endsWith("login: ")).toBe(true);
    await type("ada\r", "password: ");
    await type("correct horse\r", "antipode> ");
    const { promise, resolve } = Promise.withResolvers<CommandResult>();
    answers.push(() => promise);
    tty.type("verify\r");
    await universe.advance(30 * 60_000);
    expect(tty.written.match(/Logged out/g)).toHaveLength(1);
    resolve({ value: undefined, text: "identical\n", exitCode: 0 });
    await type("", "antipode> ");
  });

  it("is refused to everybody where the file of users is damaged, and told why", async () => {
    files.contents.set(USERS, new TextEncoder().encode('{"users":[{"name":"x"}]}'));
    start();
    await type("", "users.damaged");
    await expect(users.set("x", "correct horse")).rejects.toMatchObject({ code: "users.damaged" });
    files.contents.delete(USERS);
    await universe.run(() => tty.written.includes("new password: "));
  });
});

describe("users", () => {
  it("are made, changed and deleted, the last one not", async () => {
    await loggedIn();
    await type("user set bob\r", "new password: ");
    await type("another horse\r", "the same again: ");
    await type("another horse\r", "bob may log in.");
    await type("show users\r", "ada\r\nbob\r\n");
    await type("password\r", "present password: ");
    await type("wrong\r", "That is not right.");
    await type("password\r", "present password: ");
    await type("correct horse\r", "new password: ");
    await type("better horse\r", "the same again: ");
    await type("better horse\r", "It is changed.");
    expect(await users.verify("ada", "better horse")).toBe(true);
    expect(await users.verify("ada", "correct horse")).toBe(false);
    await type("user delete bob\r", "bob may not log in any more.");
    await type("user delete ada\r", "ada is the only user.");
    await type("user set Bob!\r", "new password: ");
    await type("another horse\r", "the same again: ");
    await type("another horse\r", "users.name");
    expect(tty.written).not.toContain("horse");
    expect(new TextDecoder().decode(files.contents.get(USERS))).not.toContain("horse");
  });
});

describe("a serial line", () => {
  it("changes its speed at a break while nobody is logged in, and interrupts after that", async () => {
    await users.set("ada", "correct horse");
    start();
    await type("", "login: ");
    tty.type("\x83\xfe noise");
    tty.sendBreak();
    expect(tty.speed).toBe(19200);
    for (const speed of [38400, 57600, 115200, 9600, 19200]) {
      tty.sendBreak();
      expect(tty.speed).toBe(speed);
    }
    await universe.run(() => tty.written.endsWith("login: "));
    await type("ada\r", "password: ");
    await type("correct horse\r", "antipode> ");
    tty.type("half a li");
    const from = tty.written.length;
    tty.sendBreak();
    await universe.run(() => tty.written.slice(from).includes("antipode> "));
    expect(tty.speed).toBe(19200);
    await type("exit\r", "login: ");
    expect(tty.speed).toBe(9600);
  });

  it("is hung up and comes back, to a login and nothing of the session before", async () => {
    await loggedIn();
    await type("configure\r", "antipode# ");
    await type("set group secretive\r", "antipode# ");
    terminals.remove(TTY);
    await universe.advance(60_000);
    tty = terminals.add(TTY);
    await universe.run(() => tty.written.includes("login: "));
    expect(tty.isOpen).toBe(true);
    await type("ada\r", "password: ");
    await type("correct horse\r", "antipode> ");
  });

  it("that is not there when it is started is an error", async () => {
    const line = start({ path: "/dev/ttyS9" });
    const [{ served }] = lines.splice(0);
    await expect(served).rejects.toMatchObject({ code: "terminal.missing" });
    line.close();
  });

  it("waits for a terminal that takes nothing, and goes on when it does", async () => {
    await loggedIn();
    answers.push(async () => ({ value: undefined, text: "1\n2\n3\n", exitCode: 0 }));
    tty.isStuck = true;
    tty.type("show status\r");
    await universe.run(() => tty.written.includes("1\r\n"));
    await universe.advance(60_000);
    expect(tty.written).not.toContain("2\r\n");
    tty.unstick();
    await universe.run(() => tty.written.includes("3\r\n"));
  });
});

describe("the terminal that the program was started from", () => {
  it("has one session without a login, in the terminal's own size", async () => {
    tty = terminals.add("own", { columns: 60, rows: 5 });
    start({ path: undefined, speed: undefined, kind: "vt100", access: { kind: "user", name: "root" } });
    await type("", "antipode> ");
    answers.push(async () => ({ value: undefined, text: "1\n2\n3\n4\n5\n6\n", exitCode: 0 }));
    await type("show status\r", "-- more");
    await type("q", "antipode> ");
    await type("show users\r", "there is no 'users'");
    await type("q", "antipode> ");
    await type("exit\r", "\r\n");
    expect(await universe.result(lines[0].served)).toBe("left");
    expect(tty.isOpen).toBe(false);
  });
});
