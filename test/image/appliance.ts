/**
 * A virtual machine that boots an image by UEFI, and what tests do at one: wait for what its serial line says, log in
 * there, press the power button, reach its ports. It ends with the workbench that it was started on.
 */

import { mkdtempSync, truncateSync } from "node:fs";
import { connect } from "node:net";
import { basename } from "node:path";
import { PARTITIONS } from "../../image/disk.ts";
import { Revisions } from "../../src/config/revisions.ts";
import { linuxClock } from "../../src/platform/linux/linux-clock.ts";
import { linuxFiles } from "../../src/platform/linux/linux-files.ts";
import { tool } from "../conformance/initiator.ts";
import type { Running, Workbench } from "../conformance/workbench.ts";

const FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const FIRMWARE_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd";
const MEMORY_MIB = 2048;
const DRIVE_BYTES = 128 * 1024 * 1024;
/** As QEMU's user network shows the machine that it runs on to the guest. */
export const HOST = "10.0.2.2";
/** From power on; without hardware virtualisation, on a machine that is busy with much else. */
const BOOT_DEADLINE_MS = 240_000;
const ANSWER_DEADLINE_MS = 30_000;
/** Of the first login; no secret, but the appliance has to treat it as one. */
export const PASSWORD = "correct horse";
/** At the start of a line: a site's name, and the mode. */
const PROMPT = /\n[a-z]+[>#] /;
const OFF_DEADLINE_MS = 90_000;

export interface Machine {
  /** The image; the machine writes to it. */
  readonly image: string;
  /** Further drives: raw files, each with the serial number by which it is known. */
  readonly drives?: Readonly<Record<string, string>>;
  /** Ports of the guest that are reached at ports of 127.0.0.1. */
  readonly ports?: Readonly<Record<number, number>>;
  /** One where nothing else is said: several machines run at once, and processors in one that wait for each other are slow here. */
  readonly processors?: number;
  /** Hardware addresses of further network cards, which lead nowhere. */
  readonly cards?: readonly string[];
  /** Further arguments of QEMU's: what else the machine has, and what is otherwise with it. */
  readonly more?: readonly string[];
}

/** A reset, by the watchdog or otherwise, starts the machine anew, as in life, instead of ending it. */
export const RESETS: readonly string[] = ["-action", "reboot=reset"];

/** Persistent memory, which outlasts the machine in a file of so many bytes. */
export function nvdimm(file: string, bytes: number): readonly string[] {
  return [
    ...["-machine", "nvdimm=on", "-m", `${MEMORY_MIB}M,slots=1,maxmem=${2 * MEMORY_MIB}M`],
    ...["-object", `memory-backend-file,id=persistent,share=on,mem-path=${file},size=${bytes}`],
    ...["-device", "nvdimm,memdev=persistent"],
  ];
}

/** A mirror site, whose primary is away: it comes up, and proves its firmware, without any other machine. */
export const LONE_SITE = {
  site: { name: "ouray" },
  group: "image",
  role: "mirror",
  drives: ["/dev/disk/by-id/virtio-a"],
  arrays: { main: { level: 1, drives: [0] } },
  volumes: { vm: { array: "main", size: "16MiB", lun: 0 } },
  journal: { device: "/dev/disk/by-id/virtio-journal" },
  link: { listen: "0.0.0.0:7400", from: ["denver"] },
};

/** @returns the path of a drive's file that nothing was written to */
export function emptyDrive(bench: Workbench, name: string, bytes = DRIVE_BYTES): string {
  const file = bench.write(`${name}.raw`, "");
  truncateSync(file, bytes);
  return file;
}

/** @returns such files for one machine's drives, by serial number */
export function emptyDrives(
  bench: Workbench,
  machine: string,
  serials: readonly string[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(serials.map((serial) => [serial, emptyDrive(bench, `${machine}-${serial}`)]));
}

/** Puts a configuration on an image's configuration partition, as its first revision. */
export async function configure(bench: Workbench, image: string, yaml: string): Promise<void> {
  const folder = mkdtempSync(bench.path("revisions-"));
  const revisions = new Revisions(folder, linuxFiles(), linuxClock());
  const { number } = await revisions.commit({ text: yaml, author: "test", base: 0 });
  const path = revisions.path(number);
  const partition = `${image}?offset=${PARTITIONS.config.start}`;
  await tool(bench, "/usr/sbin/debugfs", "-w", "-R", `write ${path} ${basename(path)}`, partition);
}

export interface KeptFile {
  readonly name: string;
  /** As the file system has it: of a file with rights for its owner alone, 100600. */
  readonly mode: string;
  readonly text: string;
}

/** What a machine that is off has left on its configuration or log partition. */
export async function filesOf(
  bench: Workbench,
  image: string,
  partition: "config" | "log",
): Promise<readonly KeptFile[]> {
  const ask = async (request: string) => {
    const where = `${image}?offset=${PARTITIONS[partition].start}`;
    const { code, stdout, text } = await bench.run("/usr/sbin/debugfs", ["-R", request, where]);
    if (code !== 0) throw new Error(`debugfs ${request}: ${text}`);
    return stdout;
  };
  const files: KeptFile[] = [];
  for (const [, mode, name] of (await ask("ls -l /")).matchAll(/^ *\d+ +(1\d{5}) .* (\S+) *$/gm)) {
    files.push({ name, mode, text: await ask(`cat ${name}`) });
  }
  return files;
}

/** @param status of `show appliance` @returns where the appliance listens, as it says itself */
export function listening(status: string): readonly string[] {
  return Array.from(status.matchAll(/^ +listens +(.*)$/gm), ([, where]) => where);
}

export class Appliance {
  readonly #machine: Running;
  readonly #control: string;
  /** How much of what was said has been looked at. */
  #seen = 0;

  private constructor(machine: Running, control: string) {
    this.#machine = machine;
    this.#control = control;
  }

  static async boot(
    bench: Workbench,
    { image, drives = {}, ports = {}, processors = 1, cards = [], more = [] }: Machine,
  ): Promise<Appliance> {
    const variables = `${image}.variables`;
    await tool(bench, "cp", FIRMWARE_VARIABLES, variables);
    const control = `${image}.qmp`;
    const drive = (id: string, file: string, device: string) => [
      "-drive",
      `if=none,id=${id},format=raw,file=${file}`,
      "-device",
      `virtio-blk-pci,drive=${id},${device}`,
    ];
    const forwards = Object.entries(ports).map(([guest, host]) => `,hostfwd=tcp:127.0.0.1:${host}-:${guest}`);
    // With this process it ends too, however that ends.
    const machine = bench.start("setpriv", [
      ...["--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none"],
      ...["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"],
      ...["-smp", `${processors}`, "-m", `${MEMORY_MIB}M`],
      ...["-drive", `if=pflash,format=raw,readonly=on,file=${FIRMWARE}`],
      ...["-drive", `if=pflash,format=raw,file=${variables}`],
      ...["-chardev", "stdio,id=line,signal=off", "-serial", "chardev:line"],
      ...["-qmp", `unix:${control},server=on,wait=off`, "-device", "i6300esb", "-rtc", "base=utc"],
      ...["-netdev", `user,id=net${forwards.join("")}`, "-device", "virtio-net-pci,netdev=net,romfile="],
      ...cards.flatMap((mac, at) => [
        ...["-netdev", `user,id=card${at},restrict=on`],
        ...["-device", `virtio-net-pci,netdev=card${at},mac=${mac},romfile=`],
      ]),
      ...drive("image", image, "bootindex=0"),
      ...Object.entries(drives).flatMap(([serial, file], at) => drive(`drive${at}`, file, `serial=${serial}`)),
      ...more,
    ]);
    return new Appliance(machine, control);
  }

  /** All that the serial line has said. */
  get line(): string {
    return this.#machine.text.replaceAll("\r", "");
  }

  /** Waits until the line says it, after what was waited for before. @returns what matched */
  async says(what: RegExp, deadlineMs = BOOT_DEADLINE_MS): Promise<RegExpExecArray> {
    const from = this.#seen;
    await this.#machine.says(new RegExp(`^[\\s\\S]{${from}}[\\s\\S]*?(?:${what.source})`), deadlineMs);
    const match = what.exec(this.#machine.text.slice(from));
    if (match === null) throw new Error(`${what} was there and is gone`);
    this.#seen = from + match.index + match[0].length;
    return match;
  }

  /** Logs in for the first time, which chooses the password, as a script does. @returns what the line showed before */
  async login(): Promise<string> {
    // It may have been asked for before what was waited for last.
    await this.#machine.says("new password: ", BOOT_DEADLINE_MS);
    const before = this.line;
    this.#seen = this.#machine.text.length;
    this.#machine.tell(`${PASSWORD}\r`);
    await this.says(/the same again: /, ANSWER_DEADLINE_MS);
    this.#machine.tell(`${PASSWORD}\r`);
    await this.#loggedIn();
    return before;
  }

  /** Logs in with the password that was chosen before. @returns what the line showed before */
  async loginAgain(): Promise<string> {
    await this.#machine.says("login: ", BOOT_DEADLINE_MS);
    const before = this.line;
    this.#seen = this.#machine.text.length;
    this.#machine.tell("admin\r");
    await this.says(/password: /, ANSWER_DEADLINE_MS);
    this.#machine.tell(`${PASSWORD}\r`);
    await this.#loggedIn();
    return before;
  }

  async #loggedIn(): Promise<void> {
    await this.says(PROMPT, ANSWER_DEADLINE_MS);
    await this.command("terminal dumb");
    await this.command("terminal length 0");
  }

  /** Types a line at the prompt, and what it asks for after that. @returns all that was shown until the next prompt */
  async command(line: string, more = "", deadlineMs = ANSWER_DEADLINE_MS): Promise<string> {
    const from = this.#seen;
    this.#machine.tell(`${line}\r`);
    if (more !== "") {
      await this.says(/\n/, ANSWER_DEADLINE_MS);
      this.#machine.tell(more);
    }
    await this.says(PROMPT, deadlineMs);
    return this.#machine.text.slice(from, this.#seen).replaceAll("\r", "");
  }

  /** Types a line at the prompt, and waits only until what it shows says something. */
  async begin(line: string, what: RegExp, deadlineMs: number): Promise<void> {
    this.#machine.tell(`${line}\r`);
    await this.says(what, deadlineMs);
  }

  /** Has it start anew, which ends this machine: QEMU is told not to. */
  async restart(): Promise<void> {
    await this.endsBy("restart yes", "", /Restarting system/);
  }

  /** Types a command that ends the machine, and what it asks for. @param last what the kernel says then @returns what was shown */
  async endsBy(command: string, more: string, last: RegExp): Promise<string> {
    const from = this.#seen;
    this.#machine.tell(`${command}\r${more === "" ? "" : `${more}\r`}`);
    await this.says(last, OFF_DEADLINE_MS);
    await this.#machine.ends();
    return this.#machine.text.slice(from).replaceAll("\r", "");
  }

  /** Presses the power button, and waits until the machine is off. */
  async powerOff(): Promise<void> {
    await this.#ask("system_powerdown", {}, '"POWERDOWN"');
    await this.says(/Power down/, OFF_DEADLINE_MS);
    const code = await this.#machine.ends();
    if (code !== 0) throw new Error(`the machine ended with code ${code}:\n${this.line}`);
  }

  /** Sends a break on the serial line, twice, since the kernel keeps the first; waits until the prompt is there again. */
  async sendBreak(): Promise<void> {
    for (let sent = 0; sent < 2; sent++) {
      await this.#ask("human-monitor-command", { "command-line": "chardev-send-break line" }, '"return": ""');
    }
    await this.says(PROMPT, ANSWER_DEADLINE_MS);
  }

  /** Cuts its power. */
  async powerCut(): Promise<void> {
    await this.#machine.stop("SIGKILL");
  }

  /** Has QEMU do something, and waits until it says what it says then. */
  #ask(execute: string, given: Readonly<Record<string, string>>, answer: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#control);
      socket.setTimeout(ANSWER_DEADLINE_MS, () => socket.destroy(new Error("QEMU does not answer")));
      socket.once("error", reject);
      let received = "";
      socket.setEncoding("utf8").on("data", (text: string) => {
        received += text;
        if (!received.includes(answer)) return;
        socket.destroy();
        resolve();
      });
      socket.write(`{"execute":"qmp_capabilities"}\n${JSON.stringify({ execute, arguments: given })}\n`);
    });
  }
}
