/** What is asked of a site on its control socket, or of one that is not there. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { qemuIo } from "../conformance/initiator.ts";
import { alone, mirrorSite, put, urlOf } from "../conformance/sites.ts";
import { freePorts, type Result, type Running, Workbench } from "../conformance/workbench.ts";
import { Dice, RawPeer } from "./raw.ts";
import { EXIT, expectNoTrace, expectRefusal } from "./refusal.ts";

let bench: Workbench;
let primary: Running;
let mirror: Running;
let port: number;

beforeAll(async () => {
  bench = new Workbench();
  const [first, second, third] = await freePorts(3);
  port = first;
  primary = await bench.serve(put(bench, alone({ port })));
  const inFolder = (name: string) => ({ control: { socket: `mirrors/${name}.sock` } });
  mirror = await bench.serve(
    put(bench, { ...mirrorSite({ name: "pueblo", port: second }, "denver"), ...inFolder("pueblo") }),
  );
  await bench.serve(put(bench, { ...mirrorSite({ name: "boston", port: third }, "denver"), ...inFolder("boston") }));
});
afterAll(() => bench.close());

const ctl = (...args: readonly string[]): Promise<Result> => bench.antipode("ctl", ...args);

describe("ctl", () => {
  it.each([
    ["an unknown command", ["--dir", ".", "show", "weather"], "command.unknown", "show weather"],
    ["a command with a word too many", ["--dir", ".", "show", "status", "now"], "command.unknown", "show status now"],
    ["a folder without sites", ["--dir", "empty", "help"], "command.no-site", "empty"],
    ["a site that is not there", ["--dir", ".", "--site", "pueblo", "help"], "command.no-site", "pueblo"],
    ["several sites, none of which is the primary", ["--dir", "mirrors", "help"], "command.which-site", "boston"],
    ["a configuration that is not there", ["--config", "x.yaml", "help"], "config.unreadable", "x.yaml"],
    ["no site in the usual places", ["help"], "command.no-site", "/run/antipode"],
  ])("with %s says so", async (_what, args, code, mention) => {
    expectRefusal(await ctl(...args), EXIT.usage, code, mention);
  });

  it.each([
    ["a volume that is not there", ["--dir", ".", "verify", "lun9"], "mirror.no-volume", "lun9"],
    ["verify at a mirror site", ["--dir", "mirrors", "--site", "boston", "verify"], "mirror.not-primary", "boston"],
    ["a socket that is not there", ["--socket", "x.sock", "help"], "network.unreachable", "x.sock"],
    ["a socket that is none", ["--socket", "alone.yaml", "help"], "network.unreachable", "alone.yaml"],
  ])("with %s says so", async (_what, args, code, mention) => {
    expectRefusal(await ctl(...args), EXIT.operation, code, mention);
  });

  it("without words says how it is used", async () => {
    const result = await ctl("--dir", ".");
    expect(result.code).toBe(EXIT.usage);
    expectNoTrace(result.text);
  });

  it("finds the primary among several, and the site that is named", async () => {
    expect((await ctl("--dir", ".", "show", "status")).stdout).toContain("alone");
    expect((await ctl("--dir", ".", "sh", "stat")).stdout).toContain("alone");
    expect((await ctl("--dir", "mirrors", "--site", "boston", "show", "status")).stdout).toContain("boston");
  });

  it("says that a killed site is not there, although its socket file is", async () => {
    mirror.signal("SIGKILL");
    await mirror.exited;
    const result = await ctl("--dir", "mirrors", "--site", "pueblo", "show", "status");
    expectRefusal(result, EXIT.operation, "network.unreachable", "pueblo.sock");
    mirror = await bench.serve(bench.path("pueblo.yaml"));
    expect((await ctl("--dir", "mirrors", "--site", "pueblo", "show", "status")).code).toBe(0);
  });
});

describe("inspect", () => {
  it("without the volume to export says so", async () => {
    const result = await bench.antipode("inspect", "alone.yaml", "--export", "x");
    expectRefusal(result, EXIT.usage, "usage.inspect", "--export");
  });

  it("of a site that never ran says so", async () => {
    const never = put(bench, alone({ port, name: "never" }));
    expectRefusal(await bench.antipode("inspect", never), EXIT.operation, "raid.too-few", "main");
  });

  it("of an unknown volume, or onto a file that is there, says so", async () => {
    const [other] = await freePorts(1);
    const file = put(bench, alone({ port: other, name: "still" }));
    expect(await (await bench.serve(file)).stop()).toBe(0);
    const unknown = await bench.antipode("inspect", file, "--volume", "x");
    expectRefusal(unknown, EXIT.operation, "inspect.no-volume", "lun0");
    const taken = bench.write("taken", "mine");
    const result = await bench.antipode("inspect", file, "--volume", "lun0", "--export", taken);
    expectRefusal(result, EXIT.operation, "file.failed", "taken");
    expect((await bench.antipode("inspect", file, "--volume", "lun0", "--export", "fresh")).code).toBe(0);
  });
});

describe("garbage on the control socket", () => {
  const connect = () => RawPeer.connect({ path: bench.path("alone.sock") });

  it.each([
    ["no JSON", "show status\n"],
    ["no words", '{"words":7}\n'],
    ["words that are none", '{"words":[1,null]}\n'],
    ["nothing", "\n"],
    ["null", "null\n"],
    ["a line without end", "x".repeat(200_000)],
    ["bytes", Buffer.concat([new Dice(7).bytes(5000), Buffer.from("\n")])],
    ["a line that is nested deeply", `${"[".repeat(30_000)}\n`],
  ])("of %s is answered in words", async (_what, bytes) => {
    const peer = (await connect()).send(bytes);
    await peer.isClosed();
    const answer = JSON.parse(peer.received.toString("utf8").trimEnd()) as Record<string, string>;
    expect(answer).toMatchObject({ kind: "error", code: "control.malformed" });
    expect(answer.remedy).not.toBe("");
  });

  it("that stops in the middle is let go", async () => {
    const peers = await Promise.all(Array.from({ length: 50 }, connect));
    for (const [at, peer] of peers.entries()) {
      peer.send('{"words":["show","status"]}\n'.slice(0, at % 28));
      if (at % 2 === 0) peer.end();
      else peer.destroy();
    }
    await Promise.all(peers.filter((_, at) => at % 2 === 0).map((peer) => peer.isClosed()));
    expect((await ctl("--dir", ".", "show", "status")).stdout).toContain("SERVING");
  });
});

it("after all of which the site serves, and stops in order", async () => {
  await qemuIo(bench, urlOf(port), "write -P 0x15 0 1M", "read -P 0x15 0 1M");
  expect(await primary.stop()).toBe(0);
  expectNoTrace(primary.text);
});
