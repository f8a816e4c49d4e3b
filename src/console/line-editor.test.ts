import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type EditorEvent, LineEditor, type TerminalKind } from "./line-editor.ts";
import { TestScreen, typed } from "./testing.ts";

const UP = "\x1b[A";
const DOWN = "\x1b[B";
const RIGHT = "\x1b[C";
const LEFT = "\x1b[D";
const DELETE = "\x1b[3~";

function edit(keys: string, kind: TerminalKind = "vt100", columns = 80) {
  const screen = new TestScreen(kind, columns);
  const editor = new LineEditor(screen);
  editor.begin("> ");
  const events: EditorEvent[] = [];
  const type = (more: string) => {
    for (const byte of typed(more)) {
      const event = editor.key(byte);
      if (event !== undefined) events.push(event);
    }
  };
  type(keys);
  return { screen, editor, events, type };
}

describe.each(["dumb", "vt100"] as const)("a line on a %s terminal", (kind) => {
  it.each([
    ["show", "> show|"],
    ["shw\x02o", "> sho|w"],
    [`shw${LEFT}o${RIGHT} x`, "> show x|"],
    ["abc\x01X", "> X|abc"],
    ["abc\x01\x05X", "> abcX|"],
    ["abc def\x01\x06\x06\x0b", "> ab|"],
    ["abc def\x02\x15", "> |f"],
    ["one two  three\x17", "> one two  |"],
    ["one two  \x17", "> one |"],
    ["abcd\x7f\x08", "> ab|"],
    [`abcd\x01${DELETE}\x04`, "> |cd"],
    ["zürich\x7f\x02ä", "> züri|c".replace("|c", "ä|c")],
    ["ab\x1b\x08b\x1b\x1bc", "> abc|"],
    ["abc\x1b[15~\x1bOP\x1bxd\x1b[H", "> |abcd"],
    ["\x00ab\x1b[1234567890123456c", "> ab23456c|"],
  ])("%j shows %j", (keys, line) => expect(edit(keys, kind).screen.line).toBe(line));

  it("recalls lines, and the one that was begun", () => {
    const { screen, editor, type } = edit("", kind);
    for (const line of ["one", "two", "two", "  "]) editor.remember(line);
    editor.begin("\r> ");
    type(`dra${UP}`);
    expect(screen.line).toBe("> two|");
    type(UP);
    expect(screen.line).toBe("> one|");
    type(UP);
    expect([screen.line, screen.bells]).toEqual(["> one|", 1]);
    type(`${DOWN}${DOWN}`);
    expect(screen.line).toBe("> dra|");
  });

  it("scrolls where it is longer than the terminal is wide", () => {
    const { screen, type } = edit("", kind, 20);
    type("0123456789abcdefghijklmnopqrstuvwxyz");
    expect(screen.line).toMatch(/^> <[a-z]+z\|$/);
    type("\x01");
    expect(screen.line).toBe("> |0123456789abcdef>");
    type(`${RIGHT.repeat(20)}!`);
    expect(screen.line).toContain("j!|k");
    expect(screen.line.length).toBeLessThanOrEqual(20);
  });

  it("comes back after it made room for other text", () => {
    const { screen, editor } = edit(`abc${LEFT}`, kind);
    editor.hide();
    screen.write("a notice\r\n");
    editor.redraw();
    expect(screen.text).toBe("a notice\n> abc");
    expect(screen.line).toBe("> ab|c");
  });

  it("always shows what it is, whatever is typed", () => {
    const key = fc.constantFrom(
      "a",
      "b",
      " ",
      "ü",
      LEFT,
      RIGHT,
      UP,
      DOWN,
      DELETE,
      ..."\x01\x02\x05\x06\x08\x0b\x15\x17\x7f",
    );
    fc.assert(
      fc.property(fc.array(key, { maxLength: 60 }), fc.integer({ min: 14, max: 30 }), (keys, columns) => {
        const { screen, editor, events, type } = edit("", kind, columns);
        editor.remember("an older line that is rather long");
        editor.begin("\r> ");
        type(keys.join(""));
        const before = screen.line;
        editor.hide();
        editor.redraw();
        expect(screen.line).toBe(before);
        type("\r");
        expect(events).toHaveLength(1);
      }),
    );
  });
});

describe("events", () => {
  it("are lines, however they end", () => {
    expect(edit("a\rb\nc\r\n").events).toEqual([
      { kind: "line", text: "a" },
      { kind: "line", text: "ab" },
      { kind: "line", text: "abc" },
    ]);
  });

  it("are Ctrl-C, Ctrl-D on an empty line, Tab and ?", () => {
    expect(edit("\x04").events).toEqual([{ kind: "end" }]);
    expect(edit("a\x04\x03").events).toEqual([{ kind: "interrupt" }]);
    expect(edit("sh x\x02\t").events).toEqual([{ kind: "complete", before: "sh " }]);
    expect(edit("show ?").events).toEqual([{ kind: "help", before: "show " }]);
    expect(edit('set x "why?').events).toEqual([]);
  });
});

describe("a masked line", () => {
  it("shows nothing at all, and is not recalled", () => {
    const screen = new TestScreen();
    const editor = new LineEditor(screen);
    editor.begin("password: ", { masked: true });
    let event: EditorEvent | undefined;
    for (const byte of typed(`se?c\tx\x7fret${LEFT}${UP}\r`)) event = editor.key(byte) ?? event;
    expect(event).toEqual({ kind: "line", text: "se?cret" });
    expect(screen.written.replaceAll("\x07", "")).toBe("password: \r\n");
  });
});

it("sends little for a key in the middle of a line", () => {
  const { screen, type } = edit("a".repeat(60), "dumb");
  screen.forget();
  type(LEFT);
  expect(screen.written).toBe("\b");
  screen.forget();
  type("b");
  expect(screen.written).toBe("ba\b");
});

it("stops at a length that no line has", () => {
  const { events, screen, type } = edit("a".repeat(5000));
  type("\r");
  expect(events[0]).toMatchObject({ text: "a".repeat(4096) });
  expect(screen.bells).toBe(904);
});
