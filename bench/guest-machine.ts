/**
 * The guest of `npm run bench -- lio` as a virtual machine: started, listened to until it says how it ended, and ended
 * with the workspace at the latest. Where something goes wrong its console is kept beside the workspace.
 *
 * By hardware virtualisation where that works, else emulated: all is slower then, but what is compared is in the same guest.
 */

import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { GuestFiles } from "../image/guest-system.ts";
import { BenchFailure, until } from "./failure.ts";
import { type GuestLine, parseGuestLines } from "./guest-lines.ts";
import type { Daemon, Workspace } from "./workspace.ts";

interface Accelerator {
  readonly name: string;
  readonly bootDeadlineMs: number;
  /** For the kernel's command line. */
  readonly parameters: string;
}

const KVM: Accelerator = { name: "kvm", bootDeadlineMs: 60_000, parameters: "" };
const EMULATION: Accelerator = {
  name: "tcg,thread=multi",
  bootDeadlineMs: 240_000,
  // As on most machines, the time is read from the processor, which here has one for both: not from a device, for which all
  // processors would wait.
  parameters: "tsc=reliable",
};
/** One for the client and one for the target. */
const PROCESSORS = 2;
/** Half of it may be files: the unpacked system, and the same again for the volumes. */
const MEMORY_MIB = 2048;
/** How often its lines are looked at: seldom, since that takes time of the processors that are measured. */
const LISTEN_MS = 500;
const END_DEADLINE_MS = 60_000;
const KEPT_CONSOLE = "antipode-bench-console.log";
const CONSOLE_LINES_SHOWN = 15;

/**
 * Runs a guest to its end.
 * @param silenceMs the longest that a line may take to come after the one before
 * @param onLine told of each line as it comes
 * @returns all lines
 * @throws BenchFailure where the guest failed, or does not get on
 */
export async function runGuest(
  workspace: Workspace,
  files: GuestFiles,
  silenceMs: number,
  onLine: (line: GuestLine) => void,
): Promise<readonly GuestLine[]> {
  const { guest, first } = await boot(workspace, files);
  return guest.keepingConsole(async () => {
    const lines: GuestLine[] = [];
    for (let line = first; ; line = await guest.next(silenceMs)) {
      lines.push(line);
      onLine(line);
      if (line.kind === "failed") throw new BenchFailure(`in the guest: ${line.message}`);
      if (line.kind === "done") break;
    }
    await guest.switchedOff();
    return lines;
  });
}

async function boot(workspace: Workspace, files: GuestFiles): Promise<{ guest: Guest; first: GuestLine }> {
  const guest = new Guest(workspace, files, KVM);
  try {
    return { guest, first: await guest.next(KVM.bootDeadlineMs) };
  } catch (error) {
    if (!(error instanceof BenchFailure)) throw error;
    await guest.stop();
  }
  const emulated = new Guest(workspace, files, EMULATION);
  return { guest: emulated, first: await emulated.keepingConsole(() => emulated.next(EMULATION.bootDeadlineMs)) };
}

class Guest {
  readonly #daemon: Daemon;
  readonly #console: string;
  readonly #lines: string;
  readonly #kept: string;
  #heard = 0;

  constructor(workspace: Workspace, { kernel, initramfs }: GuestFiles, { name, parameters }: Accelerator) {
    const dir = workspace.folder(`guest-${name.replaceAll(/\W+/g, "-")}`);
    this.#console = join(dir, "console");
    this.#lines = join(dir, "lines");
    this.#kept = join(dirname(workspace.dir), KEPT_CONSOLE);
    const args = [
      ...["-nodefaults", "-no-reboot", "-display", "none", "-machine", "q35", "-accel", name, "-cpu", "max"],
      ...["-smp", `${PROCESSORS}`, "-m", `${MEMORY_MIB}M`, "-kernel", kernel, "-initrd", initramfs],
      ...["-append", `console=ttyS0 no_timer_check panic=-1 loglevel=4 ${parameters}`],
      ...["-serial", `file:${this.#console}`, "-serial", `file:${this.#lines}`],
    ];
    this.#daemon = workspace.start("the guest", "qemu-system-x86_64", args, join(dir, "log"));
  }

  /** The line after the one that was last asked for. @throws BenchFailure where the guest has ended, or none comes in time */
  async next(deadlineMs: number): Promise<GuestLine> {
    const line = () => parseGuestLines(read(this.#lines))[this.#heard];
    await until("the guest went on", deadlineMs, () => line() !== undefined || !this.#daemon.running, LISTEN_MS);
    const found = line();
    if (found === undefined) throw new BenchFailure(`the guest ended too early. ${this.#daemon.logEnd()}`);
    this.#heard++;
    return found;
  }

  async switchedOff(): Promise<void> {
    await until("the guest switched itself off", END_DEADLINE_MS, () => !this.#daemon.running, LISTEN_MS);
  }

  stop(): Promise<void> {
    return this.#daemon.stop();
  }

  /** What fails meanwhile is told with the end of the console. */
  async keepingConsole<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof BenchFailure)) throw error;
      if (!existsSync(this.#console)) throw error;
      copyFileSync(this.#console, this.#kept);
      const end = read(this.#console).trimEnd().split("\n").slice(-CONSOLE_LINES_SHOWN).join("\n");
      throw new BenchFailure(`${error.message}\nThe guest's console is kept in ${this.#kept}. Its end:\n${end}`);
    }
  }
}

function read(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8").replaceAll("\r", "") : "";
}
