/**
 * A stick that an operator brings: attached only while it is used, so that it may be pulled out at any other time. The
 * program that knows how to do that is the image's.
 */

import { OperatingError } from "../base/operating-error.ts";
import { millis } from "../base/units.ts";
import { lockFolder } from "../platform/linux/folder-lock.ts";
import { runProgram } from "../platform/linux/run-program.ts";

const AT = "/usb/";
/** Consoles of one appliance keep each other out by it. */
const LOCK = "/run/appliance";
/** What was written goes to a slow stick when it is detached. */
const TIME_MAX = millis(5 * 60_000);

/** Does work with the stick attached, where the path leads to it. */
export async function withStick<T>(program: string | undefined, path: string, work: () => Promise<T>): Promise<T> {
  if (program === undefined || !path.startsWith(AT)) return work();
  const unlock = lockFolder(LOCK);
  if (unlock === undefined) {
    throw new OperatingError("usb.busy", "Another console uses the stick.", "Try again when it is done.");
  }
  try {
    const attached = await faultOf(program, "attach");
    if (attached !== undefined) {
      const remedy = "Attach a stick with a FAT file system of that name.";
      throw new OperatingError("usb.missing", `The stick can't be attached: ${attached}.`, remedy);
    }
    let result: T;
    try {
      result = await work();
    } catch (error) {
      // Why the work failed is what counts.
      await faultOf(program, "detach");
      throw error;
    }
    const detached = await faultOf(program, "detach");
    if (detached !== undefined) {
      const remedy = "Look whether the stick is whole, and do it again.";
      throw new OperatingError("usb.unwritten", `The stick can't be detached: ${detached}.`, remedy);
    }
    return result;
  } finally {
    unlock();
  }
}

async function faultOf(program: string, what: "attach" | "detach"): Promise<string | undefined> {
  const { code, output } = await runProgram(program, [what], TIME_MAX);
  return code === 0 ? undefined : output || "no reason was given";
}
