/**
 * Linux watchdogs over a kernel of the test's own, which does as drivers/watchdog/watchdog_dev.c does, and over the real one
 * as far as it goes without the hardware. The real device is in the image tests.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Millis, millis } from "../../base/units.ts";
import { type WatchdogNature, watchdogCases } from "../watchdog.cases.ts";
import { EOPNOTSUPP, Errno } from "./libc.ts";
import { linuxWatchdogs, type WatchdogKernel } from "./linux-watchdog.ts";

const PATH = "/dev/watchdog";
const FD = 7;

/** What linux/watchdog.h calls them, by number. */
const REQUESTS: Readonly<Record<number, string>> = {
  2150127360: "GETSUPPORT",
  2147768066: "GETBOOTSTATUS",
  2147768068: "SETOPTIONS",
  2147768069: "KEEPALIVE",
  3221509894: "SETTIMEOUT",
  2147768071: "GETTIMEOUT",
  2147768074: "GETTIMELEFT",
};
const SETTIMEOUT_OPTION = 0x80;
const MAGICCLOSE_OPTION = 0x100;
const ALARMONLY_OPTION = 0x400;
const CARDRESET = 0x20;

interface Driver extends WatchdogNature {
  /** Calls that it does not have. */
  readonly lacks?: readonly string[];
  /** False where the kernel was built without WATCHDOG_SYSFS. */
  readonly sysfs?: boolean;
  readonly options?: number;
}

class FakeKernel implements WatchdogKernel {
  now = 0;
  isReset = false;
  bootStatus = 0;
  broken = false;
  writes = 0;
  closes = 0;
  readonly #driver: Driver;
  #isOpen = false;
  #letGo = false;
  #seconds = 60;
  #expiry = Number.POSITIVE_INFINITY;

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  get isArmed(): boolean {
    return this.#expiry < Number.POSITIVE_INFINITY;
  }

  elapse(time: Millis): void {
    this.now += time;
    if (this.now < this.#expiry) return;
    this.isReset = true;
    this.bootStatus = CARDRESET;
    this.#expiry = Number.POSITIVE_INFINITY;
    this.#isOpen = false;
  }

  isCharacterDevice(path: string): boolean {
    if (path === PATH) return true;
    throw Object.assign(new Error("ENOENT"), { code: "ENOENT", errno: -Errno.ENOENT });
  }

  open(): number {
    if (this.#isOpen) return -Errno.EBUSY;
    this.#isOpen = true;
    this.#letGo = false;
    this.#feed();
    return FD;
  }

  ioctl(fd: number, request: number, argument: Uint8Array): number {
    expect(fd).toBe(FD);
    const view = new DataView(argument.buffer, argument.byteOffset, argument.length);
    const name = REQUESTS[request];
    if (this.broken) return -Errno.EIO;
    if (this.#driver.lacks?.includes(name)) return -EOPNOTSUPP;
    if (name !== "GETSUPPORT") expect(argument).toHaveLength(4);
    switch (name) {
      case "GETSUPPORT":
        expect(argument).toHaveLength(40);
        view.setUint32(0, this.#driver.options ?? SETTIMEOUT_OPTION | MAGICCLOSE_OPTION, true);
        argument.set(new TextEncoder().encode("i6300ESB timer"), 8);
        return 0;
      case "GETBOOTSTATUS":
        view.setInt32(0, this.bootStatus, true);
        return 0;
      case "SETOPTIONS":
        expect(view.getInt32(0, true)).toBe(1);
        return this.#stop();
      case "KEEPALIVE":
        this.#feed();
        return 0;
      case "SETTIMEOUT": {
        const wanted = view.getInt32(0, true);
        if (wanted > 1000) return -Errno.EINVAL;
        const rounds = this.#driver.rounds ?? ((as: Millis) => as);
        this.#seconds = rounds(millis(wanted * 1000)) / 1000;
        this.#feed();
        view.setInt32(0, this.#seconds, true);
        return 0;
      }
      case "GETTIMEOUT":
        view.setInt32(0, this.#seconds, true);
        return 0;
      case "GETTIMELEFT":
        if (this.#driver.tellsTimeLeft === false) return -EOPNOTSUPP;
        view.setInt32(0, (this.#expiry - this.now) / 1000, true);
        return 0;
    }
    return -Errno.ENOTTY;
  }

  write(fd: number, bytes: Uint8Array): number {
    expect(fd).toBe(FD);
    this.writes++;
    if (this.broken) return -Errno.EIO;
    this.#letGo = bytes.includes("V".charCodeAt(0));
    if (this.isArmed) this.#feed();
    return bytes.length;
  }

  close(): void {
    this.closes++;
    this.#isOpen = false;
    if (this.#letGo || ((this.#driver.options ?? MAGICCLOSE_OPTION) & MAGICCLOSE_OPTION) === 0) this.#stop();
  }

  /** As the kernel does it for a process that ends. */
  endProcess(): void {
    if (this.#isOpen) this.close();
  }

  attribute(path: string, name: "nowayout" | "state"): string | undefined {
    expect(path).toBe(PATH);
    if (this.#driver.sysfs === false) return undefined;
    if (name === "nowayout") return this.#driver.nowayout ? "1" : "0";
    return this.isArmed ? "active" : "inactive";
  }

  #feed(): void {
    this.#expiry = this.now + this.#seconds * 1000;
  }

  #stop(): number {
    if (this.#driver.nowayout) return -Errno.EBUSY;
    this.#expiry = Number.POSITIVE_INFINITY;
    return 0;
  }
}

const onDriver = async (driver: Driver) => {
  const kernel = new FakeKernel(driver);
  return { kernel, watchdog: await linuxWatchdogs(kernel).open(PATH) };
};

watchdogCases("Linux", (nature) => {
  const kernel = new FakeKernel(nature);
  const watchdogs = linuxWatchdogs(kernel);
  return {
    watchdogs,
    path: PATH,
    vacantPath: "/dev/watchdog7",
    get isReset() {
      return kernel.isReset;
    },
    run: (pending) => pending,
    elapse: async (time) => kernel.elapse(time),
    restartProcess: () => kernel.endProcess(),
    boot: () => {
      kernel.isReset = false;
    },
    break: () => {
      kernel.broken = true;
    },
  };
});

describe("a driver", () => {
  it("without SETTIMEOUT has the timeout that it has", async () => {
    const { watchdog } = await onDriver({ options: MAGICCLOSE_OPTION });
    expect(watchdog.identity).toBe("i6300ESB timer");
    expect(watchdog.setTimeout(millis(30_000))).toBe(60_000);
  });

  it("without GETTIMEOUT has what SETTIMEOUT answered, or tells nothing", async () => {
    const lacks = ["GETTIMEOUT"];
    const { watchdog } = await onDriver({ lacks, rounds: () => millis(32_000) });
    expect(watchdog.setTimeout(millis(30_000))).toBe(32_000);
    const silent = await onDriver({ lacks: ["GETTIMEOUT", "SETTIMEOUT"] });
    expect(silent.watchdog.setTimeout(millis(30_000))).toBeUndefined();
  });

  it("that refuses a timeout is quoted", async () => {
    const { watchdog } = await onDriver({});
    const failure = { code: "watchdog.failed", what: expect.stringContaining("refuses a timeout of 2000 s: EINVAL") };
    expect(() => watchdog.setTimeout(millis(2_000_000))).toThrow(expect.objectContaining(failure));
  });

  it("without KEEPALIVE is fed by a write that does not disarm it", async () => {
    const { kernel, watchdog } = await onDriver({ lacks: ["KEEPALIVE"] });
    kernel.elapse(millis(50_000));
    watchdog.feed();
    kernel.elapse(millis(50_000));
    expect(kernel.isReset).toBe(false);
    kernel.endProcess();
    expect(kernel.isArmed).toBe(true);
  });

  it("that can't tell what booted the machine is taken not to have", async () => {
    expect((await onDriver({ lacks: ["GETBOOTSTATUS"] })).watchdog.causedLastBoot).toBe(false);
  });

  it("that raises an alarm only is refused, and left disarmed", async () => {
    const kernel = new FakeKernel({ options: ALARMONLY_OPTION | MAGICCLOSE_OPTION });
    await expect(linuxWatchdogs(kernel).open(PATH)).rejects.toMatchObject({ code: "watchdog.unusable" });
    expect(kernel.closes).toBe(1);
    expect(kernel.isArmed).toBe(false);
  });

  it("of something else is refused, and nothing is written to it", async () => {
    const kernel = new FakeKernel({ lacks: ["GETSUPPORT"] });
    await expect(linuxWatchdogs(kernel).open(PATH)).rejects.toMatchObject({ code: "watchdog.unusable" });
    expect(kernel.closes).toBe(1);
    expect(kernel.writes).toBe(0);
  });

  it("is only said to be disarmed where it is known to be", async () => {
    const disarm = async (driver: Driver) => {
      const { kernel, watchdog } = await onDriver(driver);
      const why = watchdog.disarm();
      expect(kernel.closes).toBe(1);
      return { armed: kernel.isArmed, why };
    };
    const sysfs = false;
    const lacks = ["SETOPTIONS"];
    expect(await disarm({ sysfs })).toEqual({ armed: false, why: undefined });
    expect(await disarm({ lacks })).toEqual({ armed: false, why: undefined });
    expect(await disarm({ nowayout: true })).toEqual({ armed: true, why: "its driver was loaded with nowayout" });
    expect(await disarm({ nowayout: true, sysfs })).toEqual({
      armed: true,
      why: "its driver does not stop it (EBUSY)",
    });
    expect(await disarm({ nowayout: true, sysfs, lacks })).toEqual({
      armed: true,
      why: "its driver does not say whether it stopped",
    });
  });
});

describe("on this machine's kernel", () => {
  const watchdogs = linuxWatchdogs();

  it("a watchdog that is not there is missing", async () => {
    const missing = watchdogs.open("/dev/no-such-watchdog");
    await expect(missing).rejects.toMatchObject({ code: "watchdog.missing" });
    await expect(watchdogs.open("/dev/null/watchdog")).rejects.toMatchObject({ code: "watchdog.missing" });
  });

  it("a device that does not answer as a watchdog is refused", async () => {
    const other = watchdogs.open("/dev/null");
    await expect(other).rejects.toMatchObject({
      code: "watchdog.unusable",
      what: expect.stringContaining("/dev/null"),
    });
  });

  it("a file is refused, and nothing is written to it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "watchdog-"));
    const path = join(folder, "file");
    writeFileSync(path, "content");
    await expect(watchdogs.open(path)).rejects.toMatchObject({ code: "watchdog.unusable" });
    expect(readFileSync(path, "utf8")).toBe("content");
    rmSync(folder, { recursive: true });
  });
});
