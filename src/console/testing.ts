/** What the console's tests share: a terminal's screen, and what an appliance is made of. */

import { assert } from "../base/assert.ts";
import { byteCount, GiB } from "../base/units.ts";
import type { FirmwareStatus } from "../firmware/firmware.ts";
import { parseVersion } from "../firmware/version.ts";
import type { Appliance } from "./appliance.ts";
import type { Machine, MachineDrive } from "./machine.ts";

/** Characters, and sequences that are one thing to a terminal. */
const PIECES = new RegExp(`${String.fromCharCode(27)}\\[\\d*[A-Z]|[\\s\\S]`, "gu");

/** What an operator would see after all that was written to it. */
export class TestScreen {
  readonly columns: number;
  #rows: string[][] = [[]];
  #row = 0;
  #column = 0;
  /** Everything that was written, since the last `forget`. */
  written = "";
  /** Bells that rang. */
  bells = 0;

  /** @param kind a dumb one fails on what it would not understand */
  constructor(
    readonly kind: "dumb" | "vt100" = "vt100",
    columns = 80,
  ) {
    this.columns = columns;
  }

  write(text: string): void {
    this.written += text;
    for (const piece of text.match(PIECES) ?? []) this.#put(piece);
  }

  forget(): void {
    this.written = "";
  }

  /** The line that the cursor is on, with `|` where it is. */
  get line(): string {
    const cells = this.#rows[this.#row].join("").padEnd(this.#column);
    return `${cells.slice(0, this.#column)}|${cells.slice(this.#column)}`.trimEnd();
  }

  /** All lines. */
  get text(): string {
    return this.#rows.map((row) => row.join("").trimEnd()).join("\n");
  }

  #put(piece: string): void {
    const row = this.#rows[this.#row];
    if (piece.startsWith("\x1b")) {
      assert(this.kind === "vt100", `a dumb terminal was sent ${JSON.stringify(piece)}`);
      this.#sequence(piece);
    } else if (piece === "\r") this.#column = 0;
    else if (piece === "\b") this.#column = Math.max(0, this.#column - 1);
    else if (piece === "\x07") this.bells++;
    else if (piece === "\n") {
      this.#row++;
      this.#rows[this.#row] ??= [];
    } else {
      assert(this.#column < this.columns, "a line ran over the edge of the terminal");
      while (row.length < this.#column) row.push(" ");
      row[this.#column++] = piece;
    }
  }

  #sequence(piece: string): void {
    const count = Number(piece.slice(2, -1) || 1);
    switch (piece.at(-1)) {
      case "K":
        this.#rows[this.#row].length = Math.min(this.#rows[this.#row].length, this.#column);
        return;
      case "D":
        this.#column -= count;
        return;
      case "H":
        this.#row = 0;
        this.#column = 0;
        return;
      case "J":
        this.#rows.length = this.#row + 1;
        this.#rows[this.#row].length = Math.min(this.#rows[this.#row].length, this.#column);
        if (piece === "\x1b[2J") this.#rows = [[]];
        return;
      default:
        assert(false, `the terminal was sent ${JSON.stringify(piece)}`);
    }
  }
}

/** The bytes of keys that are typed. */
export function typed(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Firmware that does what it is told, and says so by the version that the next start is of. */
const testFirmware: Appliance["firmware"] = {
  status: async () => firmwareStatus("1.2.3"),
  install: async (file, onProgress) => {
    onProgress({ what: `checking ${file}`, done: 1, total: 2 });
    return firmwareStatus("1.3.0");
  },
  choose: async (version) => firmwareStatus(version ?? "1.2.2"),
};

function firmwareStatus(next: string): FirmwareStatus {
  return { running: parseVersion("1.2.3"), next: parseVersion(next), slots: [], lastChange: { is: "none" } };
}

/** Everything that would be packed, in one text. */
const testPack: Appliance["pack"] = async (folder, files) => {
  const parts = Array.from(files, ([name, content]) => `== ${folder}/${name}\n${new TextDecoder().decode(content)}`);
  return new TextEncoder().encode(parts.join("\n"));
};

/** Of drives of which some have a lamp to be located by. */
const testLamp: Appliance["light"] = async (drive) => ({
  kind: drive.includes("bay") ? "locate" : "activity",
  off: async () => {
    lampsOff.push(drive);
  },
});
/** Drives whose lamp went out again. */
export const lampsOff: string[] = [];

export function testDrive(path: string, gigabytes: number, more: Partial<MachineDrive> = {}): MachineDrive {
  return { path, size: byteCount(gigabytes * GiB), model: "Test", partitions: 0, ...more };
}

export const testMachine: Machine = {
  drives: [
    testDrive("/dev/disk/by-id/virtio-stick", 1, { usedBy: "the firmware's own drive" }),
    testDrive("/dev/disk/by-id/virtio-old", 100, { holds: "a GPT partition table" }),
    testDrive("/dev/disk/by-id/virtio-a", 100),
    testDrive("/dev/disk/by-id/virtio-b", 100),
    testDrive("/dev/disk/by-id/virtio-c", 100),
    testDrive("/dev/pmem0", 4),
  ],
  cards: [{ name: "eth0", mac: "52:54:00:00:00:01" }],
  watchdog: "i6300ESB timer",
};

/** An appliance that does what it is told, and says so; but for what a test wants otherwise. */
export function testAppliance(parts: Pick<Appliance, "clock" | "files" | "revisions"> & Partial<Appliance>): Appliance {
  return {
    ask: async () => ({ value: undefined, text: "all is well\n", exitCode: 0 }),
    apply: async () => "The site runs on it.",
    look: async () => testMachine,
    reach: (_, work) => work(),
    firmware: testFirmware,
    logs: "/log",
    kernelMessages: async () => "Linux\n",
    pack: testPack,
    light: testLamp,
    reset: async () => "It starts anew, empty.",
    restart: async () => "It starts anew.",
    powerOff: async () => "It is off.",
    describe: async () => "Antipode 1.2.3 at 192.0.2.1\n",
    ...parts,
  };
}
