/** What processes have used, from /proc: see proc(5). */

import { readFileSync, writeFileSync } from "node:fs";

/** USER_HZ, which is 100 on every Linux that this runs on: x86-64 has it fixed in its ABI. */
const TICKS_PER_SECOND = 100;
/** Places of utime and stime after the command's closing bracket, counted from 0. */
const UTIME_FIELD = 11;
const STIME_FIELD = 12;
/** Sets VmHWM back to what is resident now. */
const RESET_PEAK = "5";

/** Processor seconds, in user mode and in the kernel, of all threads of these processes since they started. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticks(readFileSync(`/proc/${pid}/stat`, "utf8")), 0) / TICKS_PER_SECOND;
}

/** utime + stime of one line of /proc/PID/stat. The command in it may hold spaces and brackets itself. */
export function ticks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[UTIME_FIELD]) + Number(fields[STIME_FIELD]);
}

/** Sum of the most bytes that each process has had resident since `resetPeakMemory`. */
export function peakMemoryBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + highWaterBytes(readFileSync(`/proc/${pid}/status`, "utf8")), 0);
}

export function highWaterBytes(status: string): number {
  return bytesOf("VmHWM", status);
}

function bytesOf(field: "VmHWM" | "VmRSS", status: string): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status);
  if (found === null) throw new Error(`no ${field} in /proc/PID/status`);
  return Number(found[1]) * 1024;
}

/** Sum of what each process has resident now. */
export function residentBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + bytesOf("VmRSS", readFileSync(`/proc/${pid}/status`, "utf8")), 0);
}

export function resetPeakMemory(pids: readonly number[]): void {
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);
}
