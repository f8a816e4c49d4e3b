import { expect, it } from "vitest";
import { terminalCases } from "../terminal.cases.ts";
import { SimulatedTerminals } from "./simulated-terminal.ts";

terminalCases("memory", () => {
  const terminals = new SimulatedTerminals();
  const line = terminals.add("/dev/ttyS0");
  return {
    terminals,
    path: "/dev/ttyS0",
    missing: "/dev/ttyS1",
    type: (text) => line.type(text),
    shown: () => line.written,
    hangUp: async () => line.hangUp(),
    dispose: async () => {},
  };
});

it("can be stuck, and pulled out while it is", async () => {
  const terminals = new SimulatedTerminals();
  const line = terminals.add("/dev/ttyS0", { columns: 80, rows: 24 });
  let events = "";
  const note = (event: string) => () => {
    events += event;
  };
  const terminal = terminals.open("/dev/ttyS0", 9600, {
    onData: note("d"),
    onBreak: note("b"),
    onHangUp: note("h"),
    onResize: note("r"),
  });
  expect([terminal.size(), line.speed]).toEqual([{ columns: 80, rows: 24 }, 9600]);
  line.isStuck = true;
  const written = terminal.write(new Uint8Array(1));
  line.sendBreak();
  terminals.remove("/dev/ttyS0");
  await written;
  expect(events).toBe("bh");
});
