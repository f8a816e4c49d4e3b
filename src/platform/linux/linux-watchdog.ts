/**
 * Watchdogs as Linux has them: `/dev/watchdog` and its ioctls (Documentation/watchdog/watchdog-api.rst).
 *
 * Opening arms. Closing disarms only after the letter V was written, and not where the driver was loaded with `nowayout`,
 * which no ioctl tells: so the card is asked to stop first, and whether it did is looked up after the close.
 * Nothing is written to what does not answer as a watchdog, and nothing stays open when opening fails.
 */

import { closeSync, constants, openSync, readFileSync, realpathSync, statSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { OperatingError } from "../../base/operating-error.ts";
import { type Millis, millis } from "../../base/units.ts";
import type { Watchdog, Watchdogs } from "../watchdog.ts";
import { EOPNOTSUPP, Errno, errnoName, ioctl, O_CLOEXEC } from "./libc.ts";

/** Requests of linux/watchdog.h, as numbers of x86-64 and arm64. All but the first take an int. */
const WDIOC_GETSUPPORT = 0x80285700;
const WDIOC_GETBOOTSTATUS = 0x80045702;
const WDIOC_SETOPTIONS = 0x80045704;
const WDIOC_KEEPALIVE = 0x80045705;
const WDIOC_SETTIMEOUT = 0xc0045706;
const WDIOC_GETTIMEOUT = 0x80045707;
const WDIOC_GETTIMELEFT = 0x8004570a;

/** `struct watchdog_info`: options, firmware version, and the identity as 32 bytes that end in zeros. */
const INFO_BYTES = 40;
const IDENTITY_OFFSET = 8;

const WDIOS_DISABLECARD = 0x0001;
/** Bit of the boot status: this card reset the machine. */
const WDIOF_CARDRESET = 0x0020;
const WDIOF_SETTIMEOUT = 0x0080;
/** It raises an alarm somewhere, and resets nothing. */
const WDIOF_ALARMONLY = 0x0400;

const MAGIC = Uint8Array.of("V".charCodeAt(0));

/** What a driver answers to an ioctl that it does not have. */
const UNKNOWN: readonly number[] = [-EOPNOTSUPP, -Errno.ENOTTY];

/** What is asked of the kernel. Calls return 0 or more, or a negative error number. */
export interface WatchdogKernel {
  isCharacterDevice(path: string): boolean;
  open(path: string): number;
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  write(fd: number, bytes: Uint8Array): number;
  close(fd: number): void;
  /** What `/sys/class/watchdog/NAME/ATTRIBUTE` says of the device; undefined where there is none. */
  attribute(path: string, name: "nowayout" | "state"): string | undefined;
}

export function linuxWatchdogs(kernel: WatchdogKernel = KERNEL): Watchdogs {
  return { open: async (path) => open(kernel, path) };
}

function open(kernel: WatchdogKernel, path: string): Watchdog {
  let isDevice: boolean;
  try {
    isDevice = kernel.isCharacterDevice(path);
  } catch (error) {
    throw refusal(path, errorNumber(error));
  }
  if (!isDevice) throw unusable(path, "it is not a character device");
  const fd = kernel.open(path);
  if (fd < 0) throw refusal(path, fd);
  const info = new Uint8Array(INFO_BYTES);
  const result = kernel.ioctl(fd, WDIOC_GETSUPPORT, info);
  if (UNKNOWN.includes(result)) {
    kernel.close(fd);
    throw unusable(path, "it is not a watchdog");
  }
  try {
    if (result < 0) throw failed(path, "does not say what it is", result);
    return new LinuxWatchdog(kernel, path, fd, info);
  } catch (error) {
    kernel.write(fd, MAGIC);
    kernel.close(fd);
    throw error;
  }
}

class LinuxWatchdog implements Watchdog {
  readonly identity: string;
  readonly causedLastBoot: boolean;
  readonly nowayout: boolean | undefined;
  readonly #canSetTimeout: boolean;
  readonly #kernel: WatchdogKernel;
  readonly #fd: number;
  readonly #int = new Int32Array(1);
  readonly #argument = new Uint8Array(this.#int.buffer);
  #isOpen = true;

  constructor(
    kernel: WatchdogKernel,
    readonly path: string,
    fd: number,
    info: Uint8Array,
  ) {
    this.#kernel = kernel;
    this.#fd = fd;
    const options = new DataView(info.buffer).getUint32(0, true);
    this.identity = textOf(info.subarray(IDENTITY_OFFSET));
    if ((options & WDIOF_ALARMONLY) !== 0) throw unusable(path, `${this.identity} raises an alarm and resets nothing`);
    this.#canSetTimeout = (options & WDIOF_SETTIMEOUT) !== 0;
    this.causedLastBoot = ((this.#ask(WDIOC_GETBOOTSTATUS) ?? 0) & WDIOF_CARDRESET) !== 0;
    const nowayout = kernel.attribute(path, "nowayout");
    this.nowayout = nowayout === undefined ? undefined : nowayout !== "0";
  }

  setTimeout(wanted: Millis): Millis | undefined {
    const set = this.#canSetTimeout ? this.#ask(WDIOC_SETTIMEOUT, Math.round(wanted / 1000)) : undefined;
    const seconds = this.#ask(WDIOC_GETTIMEOUT) ?? set;
    return seconds === undefined ? undefined : millis(seconds * 1000);
  }

  feed(): void {
    const result = this.#call(WDIOC_KEEPALIVE, 0);
    // A driver without this call takes any byte but V for food.
    const fed = UNKNOWN.includes(result) ? this.#kernel.write(this.#fd, new Uint8Array(1)) : result;
    if (fed < 0) throw failed(this.path, "does not take its feed", fed);
  }

  timeLeft(): Millis | undefined {
    if (!this.#isOpen || this.#call(WDIOC_GETTIMELEFT, 0) < 0) return undefined;
    return millis(this.#int[0] * 1000);
  }

  disarm(): string | undefined {
    const stopped = this.#call(WDIOC_SETOPTIONS, WDIOS_DISABLECARD);
    const written = this.#kernel.write(this.#fd, MAGIC);
    this.#isOpen = false;
    this.#kernel.close(this.#fd);
    const state = this.#kernel.attribute(this.path, "state");
    if (state === "inactive" || (state === undefined && stopped >= 0)) return undefined;
    if (this.nowayout === true) return "its driver was loaded with nowayout";
    if (stopped < 0 && !UNKNOWN.includes(stopped)) return `its driver does not stop it (${errnoName(-stopped)})`;
    if (written < 0) return `it does not take the letter that disarms it (${errnoName(-written)})`;
    return state === undefined ? "its driver does not say whether it stopped" : `its state is ${state}`;
  }

  /** @returns the int that it answers; undefined where the driver does not have this call */
  #ask(request: number, argument = 0): number | undefined {
    const result = this.#call(request, argument);
    if (UNKNOWN.includes(result)) return undefined;
    if (result < 0) {
      const what = request === WDIOC_SETTIMEOUT ? `refuses a timeout of ${argument} s` : "refuses what it is asked";
      throw failed(this.path, what, result);
    }
    return this.#int[0];
  }

  #call(request: number, argument: number): number {
    this.#int[0] = argument;
    return this.#kernel.ioctl(this.#fd, request, this.#argument);
  }
}

const KERNEL: WatchdogKernel = {
  isCharacterDevice: (path) => statSync(path).isCharacterDevice(),
  open: (path) => numbered(() => openSync(path, constants.O_WRONLY | O_CLOEXEC)),
  ioctl,
  write: (fd, bytes) => numbered(() => writeSync(fd, bytes)),
  close: (fd) => closeSync(fd),
  attribute: (path, name) => {
    try {
      return readFileSync(`/sys/class/watchdog/${classNameOf(realpathSync(path))}/${name}`, "utf8").trim();
    } catch {
      return undefined;
    }
  },
};

/** `/dev/watchdog` is the older name of the first of the class. */
function classNameOf(path: string): string {
  const name = basename(path);
  return name === "watchdog" ? "watchdog0" : name;
}

function numbered(call: () => number): number {
  try {
    return call();
  } catch (error) {
    return errorNumber(error);
  }
}

/** @returns the error number of a failed system call, made negative */
function errorNumber(error: unknown): number {
  if (error instanceof Error && "errno" in error && typeof error.errno === "number") return -Math.abs(error.errno);
  throw error;
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder("latin1").decode(bytes.subarray(0, end < 0 ? bytes.length : end)).trim() || "watchdog";
}

function refusal(path: string, result: number): OperatingError {
  switch (-result) {
    case Errno.ENOENT:
    case Errno.ENOTDIR:
    case Errno.ENODEV:
    case Errno.ENXIO:
      return new OperatingError(
        "watchdog.missing",
        `There is no watchdog ${path} on this machine.`,
        "Load the driver of its watchdog, name the right device, or take the section 'watchdog' out of the configuration.",
      );
    case Errno.EBUSY:
      return new OperatingError(
        "watchdog.busy",
        `The watchdog ${path} is fed by another process.`,
        "Stop that process, often systemd with RuntimeWatchdogSec or a watchdog daemon, or name another watchdog.",
      );
    default:
      return failed(path, "can't be opened", result);
  }
}

function unusable(path: string, why: string): OperatingError {
  return new OperatingError(
    "watchdog.unusable",
    `${path} is of no use as a watchdog: ${why}.`,
    "Name a watchdog that resets this machine, or take the section 'watchdog' out of the configuration.",
  );
}

function failed(path: string, what: string, result: number): OperatingError {
  return new OperatingError(
    "watchdog.failed",
    `The watchdog ${path} ${what}: ${errnoName(-result)}.`,
    "Check this user's rights to it, its driver, and the kernel's log.",
  );
}
