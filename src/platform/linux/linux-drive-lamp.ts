/**
 * Lamps of drives. Bays of an enclosure that speaks SES have one to locate a drive by, which the kernel shows as a file. Any
 * other drive is read for half a second and left alone for half a second, which its activity lamp shows; nothing is written.
 */

import { existsSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { OperatingError } from "../../base/operating-error.ts";
import type { DriveLamp } from "../drive-lamp.ts";
import { forgetCached } from "./libc.ts";

/** So long it is read, and so long it is not. */
const HALF_PERIOD_MS = 500;
const READ_BYTES = 64 * 1024;
/** Further apart than what a drive reads ahead. */
const STRIDE_BYTES = 64 * 1024 * 1024;

/**
 * Makes a drive's lamp blink. Rejects with `drive.missing` where the path is none of a drive.
 * @param block where the kernel lists drives and partitions; another in tests
 */
export async function lightDrive(path: string, block = "/sys/class/block"): Promise<DriveLamp> {
  const locate = locateFile(driveFolder(path, block));
  if (locate !== undefined && attempt(() => writeFileSync(locate, "1"))) {
    return { kind: "locate", off: async () => void attempt(() => writeFileSync(locate, "0")) };
  }
  return readInRhythm(path);
}

/** Of a partition, that of the drive that it is on. */
function driveFolder(path: string, block: string): string {
  const name = existsSync(path) ? basename(realpathSync(path)) : undefined;
  const folder = `${block}/${name}`;
  if (name === undefined || !existsSync(folder)) {
    throw new OperatingError("drive.missing", `${path} is no drive that is there.`, "Name one that show array lists.");
  }
  return existsSync(`${folder}/partition`) ? dirname(realpathSync(folder)) : folder;
}

function locateFile(folder: string): string | undefined {
  const device = `${folder}/device`;
  const bay = (existsSync(device) ? readdirSync(device) : []).find((name) => name.startsWith("enclosure_device:"));
  const file = `${device}/${bay}/locate`;
  return bay !== undefined && existsSync(file) ? file : undefined;
}

async function readInRhythm(path: string): Promise<DriveLamp> {
  const drive = await open(path, "r").catch((cause) => {
    throw new OperatingError("drive.denied", `${path} can't be read: ${cause.message}.`, "Check its rights.", {
      cause,
    });
  });
  const buffer = new Uint8Array(READ_BYTES);
  const ending = new AbortController();
  let at = 0;
  const blink = async () => {
    while (!ending.signal.aborted) {
      const until = performance.now() + HALF_PERIOD_MS;
      while (performance.now() < until && !ending.signal.aborted) {
        // A drive that fails its reads is often the one that is looked for: its lamp shows that it tries.
        const { bytesRead } = await drive.read(buffer, 0, READ_BYTES, at).catch(() => ({ bytesRead: READ_BYTES }));
        at = bytesRead === 0 ? 0 : at + STRIDE_BYTES;
        forgetCached(drive.fd);
        if (bytesRead === 0) break;
      }
      await setTimeout(HALF_PERIOD_MS, undefined, { signal: ending.signal }).catch(() => {});
    }
    await drive.close();
  };
  const done = blink();
  return {
    kind: "activity",
    off: () => {
      ending.abort();
      return done;
    },
  };
}

/** A lamp that does not obey is no reason to fail. */
function attempt(body: () => void): boolean {
  try {
    body();
    return true;
  } catch {
    return false;
  }
}
