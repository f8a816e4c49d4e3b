import { expect, it } from "vitest";
import { millis } from "../../base/units.ts";
import { runProgram } from "./run-program.ts";

it("tells how a program ended, and the end of what it said", async () => {
  const run = (script: string, time = 10_000) => runProgram("/bin/sh", ["-c", script], millis(time));
  expect(await run("echo one; echo two >&2; exit 3")).toEqual({ code: 3, output: "one\ntwo" });
  expect(await run("exec sleep 60", 50)).toEqual({ code: undefined, output: "" });
  expect((await run("seq 5000")).output).toMatch(/^\d[\s\S]{3000,4096}5000$/);
  expect(await runProgram("/nowhere", [], millis(1000))).toMatchObject({
    code: undefined,
    output: expect.stringMatching(/nowhere/),
  });
});
