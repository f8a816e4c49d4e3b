import { beforeEach, describe, expect, it } from "vitest";
import { millis } from "../base/units.ts";
import { MemoryUniverse, type SimulatedWorld } from "../platform/memory/memory-world.ts";
import type { Connection } from "../platform/network.ts";
import type { Progress } from "./commands.ts";
import { type AskOptions, askSite, siteOf, statusAt } from "./control-client.ts";
import type { ControlAnswer } from "./control-socket.ts";

const SOCKET = "/run/antipode/denver.sock";

let universe: MemoryUniverse;
let world: SimulatedWorld;
/** What the site was asked, and the connection that it was asked on. */
let questions: string[];
let connection: Connection | undefined;
let closes: number;

beforeEach(async () => {
  universe = new MemoryUniverse("ask");
  world = universe.world("denver");
  questions = [];
  closes = 0;
  await universe.result(
    world.network.listen({ path: SOCKET }, (accepted) => {
      connection = accepted;
      return {
        onData: (bytes) => questions.push(new TextDecoder().decode(bytes)),
        onDrain: () => {},
        onClose: () => closes++,
      };
    }),
  );
});

function answer(...lines: ControlAnswer[]): void {
  connection?.write(new TextEncoder().encode(lines.map((line) => `${JSON.stringify(line)}\n`).join("")));
}

const ask = (options?: AskOptions) => askSite(world, SOCKET, ["verify", "db01"], options);
const RESULT = { kind: "result", value: { sound: true }, text: "identical\n", exitCode: 0 } as const;

describe("a question", () => {
  it("is a line, and its answer comes after any progress", async () => {
    const progress: Progress[] = [];
    const asked = ask({ onProgress: (each) => progress.push(each) });
    await universe.run(() => questions.length === 1);
    expect(questions).toEqual(['{"words":["verify","db01"]}\n']);
    const step = { what: "db01", done: 1, total: 2 };
    answer({ kind: "progress", ...step }, RESULT);
    expect(await universe.result(asked)).toEqual(RESULT);
    expect(progress).toMatchObject([step]);
    await universe.run(() => closes === 1);
  });

  it("is answered by the site's own error", async () => {
    const asked = ask();
    await universe.run(() => questions.length === 1);
    answer({ kind: "error", code: "mirror.not-primary", what: "It is a mirror.", remedy: "Ask the primary." });
    await expect(universe.result(asked)).rejects.toMatchObject({ code: "mirror.not-primary", what: "It is a mirror." });
  });

  it("fails where the site breaks off, is silent for long, or is not there", async () => {
    const broken = ask();
    await universe.run(() => questions.length === 1);
    connection?.close();
    await expect(universe.result(broken)).rejects.toMatchObject({ code: "control.broken-off" });
    const silent = ask({ silenceMax: millis(3000) });
    await expect(universe.result(silent)).rejects.toMatchObject({ code: "control.silent" });
    expect(await universe.result(statusAt(world, SOCKET))).toBeUndefined();
    const nobody = askSite(world, "/run/antipode/none.sock", ["help"]);
    await expect(universe.result(nobody)).rejects.toMatchObject({ code: "network.unreachable" });
  });

  it("is taken back by its signal, at whatever point it is", async () => {
    const reason = new Error("not wanted any more");
    for (const point of ["before", "while connecting", "while waiting"]) {
      const abort = new AbortController();
      if (point === "before") abort.abort(reason);
      const asked = ask({ signal: abort.signal });
      if (point === "while waiting") await universe.run(() => questions.length === 1);
      abort.abort(reason);
      await expect(universe.result(asked)).rejects.toBe(reason);
    }
  });
});

it("knows a site by its socket", () => {
  expect(siteOf(SOCKET)).toBe("denver");
  expect(siteOf("other")).toBe("other");
});
