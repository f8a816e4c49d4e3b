import { describe, expect, it } from "vitest";
import { COMMANDS } from "../site/commands.ts";
import { commonStart, complete, expand, isWhole, match, type Rule } from "./grammar.ts";

const rule = (words: string, parameters = "", summary = `do ${words}`): Rule => ({
  words: words.split(" "),
  parameters,
  summary,
});

const RULES = [
  rule("show status"),
  rule("show sessions"),
  rule("show journal"),
  rule("set", "PATH VALUE"),
  rule("load", "FILE"),
  rule("load terminal"),
  rule("commit"),
  rule("commit confirmed", "MINUTES"),
  rule("commit check"),
  rule("verify", "[VOLUME]"),
  rule("array add", "ARRAY DRIVE [overwrite]"),
  rule("run", "COMMAND"),
  rule("exit"),
];

describe("a line", () => {
  it.each([
    ["show status", "show status", []],
    ["  sh   st ", "show status", []],
    ["ver", "verify", []],
    ["v db01", "verify", ["db01"]],
    ["set a.b  [ 1, 2 ]  ", "set", ["a.b", "[ 1, 2 ]"]],
    ['set a "x  y" # z', "set", ["a", '"x  y" # z']],
    ["load terminal", "load terminal", []],
    ["load term", "load", ["term"]],
    ['load "my file"', "load", ["my file"]],
    ["comm", "commit", []],
    ["commit confirmed 5", "commit confirmed", ["5"]],
    ["commit conf 5", "commit confirmed", ["5"]],
    ["ar a main /dev/a overwrite", "array add", ["main", "/dev/a", "overwrite"]],
    ["run show st", "run", ["show st"]],
  ])("%j is %s with %j", (line, words, parameters) => {
    const found = match(RULES, line);
    expect(found?.rule.words.join(" ")).toBe(words);
    expect(found?.parameters).toEqual(parameters);
  });

  it.each([
    ["shwo status", "There is no command 'shwo'. Did you mean show?"],
    ["s", "'s' could be show or set."],
    ["show", "'show' needs a word more. Give status, sessions or journal."],
    ["show s", "'s' could be status or sessions."],
    ["show weather", "After 'show' there is no 'weather'. Known are status, sessions or journal."],
    ["set a", "'set' has 'a' after it. It is 'set PATH VALUE'."],
    ["commit confirmed", "It is 'commit confirmed MINUTES'."],
    ["commit now", "It is 'commit' or 'commit confirmed MINUTES' or 'commit check'."],
    ["load", "It is 'load FILE' or 'load terminal'."],
    ["exit please", "'exit' has 'please' after it. It is 'exit'."],
  ])("%j is refused: %s", (line, words) => expect(() => match(RULES, line)).toThrow(words));

  it("without words is nothing", () => expect(match(RULES, "  ")).toBeUndefined());
});

describe("completion", () => {
  const parameter = (name: string, typed: string) =>
    [
      { of: "VOLUME", word: "db01", help: "LUN 0" },
      { of: "PATH", word: "volumes.", help: "" },
    ].filter(({ of, word }) => of === name && word.startsWith(typed));
  const words = (before: string) => complete(RULES, before, parameter).map(({ word }) => word);

  it.each([
    ["", ["show", "set", "load", "commit", "verify", "array", "run", "exit"]],
    ["s", ["show", "set"]],
    ["sh", ["show"]],
    ["show ", ["status", "sessions", "journal"]],
    ["sh s", ["status", "sessions"]],
    ["commit ", ["confirmed", "check"]],
    ["load ", ["terminal"]],
    ["verify ", ["db01"]],
    ["verify x", []],
    ["set vol", ["volumes."]],
    ["array add main /dev/a ", ["overwrite"]],
    ["show status ", []],
    ["nothing ", []],
  ])("of %j is %j", (before, expected) => expect(words(before)).toEqual(expected));

  it("comes with help where a word ends a command", () => {
    expect(complete(RULES, "show st", parameter)).toEqual([{ word: "status", help: "do show status" }]);
    expect(isWhole(RULES, "commit")?.words).toEqual(["commit"]);
    expect(isWhole(RULES, "show ")).toBeUndefined();
    expect(commonStart(["status", "stop", "st"])).toBe("st");
  });
});

it("writes abbreviations out for ctl, and leaves alone what is none", () => {
  expect(expand(COMMANDS, ["sh", "st"])).toEqual(["show", "status"]);
  expect(expand(COMMANDS, ["arr", "s", "main"])).toEqual(["array", "scrub", "main"]);
  expect(expand(COMMANDS, ["show", "weather"])).toEqual(["show", "weather"]);
  expect(expand(COMMANDS, ["show", "s"])).toEqual(["show", "s"]);
  expect(expand(COMMANDS, ["show", "status", "now"])).toEqual(["show", "status", "now"]);
});
