/** A request to a simulated drive, under way from when it is submitted to when it completes. */

import { OperatingError } from "../../base/operating-error.ts";
import type { MediaRequest } from "./drive-cache.ts";
import type { DriveOperation } from "./drive-settings.ts";
import type { SimulatedEvent } from "./event-queue.ts";
import type { Process } from "./process.ts";

export interface DriveRequest extends MediaRequest {
  readonly process: Process;
  readonly settle: (error?: Error) => void;
  /** Called once the drive is done with it, also where its caller was told before. */
  readonly done: () => void;
  event: SimulatedEvent | undefined;
  aborted: boolean;
}

/** What the trace calls them, made once for a drive. */
export type RequestNames = Readonly<Record<DriveOperation, { readonly request: string; readonly done: string }>>;

export function requestNames(machine: string, path: string): RequestNames {
  const namesOf = (operation: DriveOperation) => ({
    request: `${machine}:${path} ${operation}`,
    done: `${path} ${operation} done`,
  });
  return { read: namesOf("read"), write: namesOf("write"), flush: namesOf("flush"), unmap: namesOf("unmap") };
}

/** @param why as the kernel's error is called */
export function driveError(
  path: string,
  { operation, lba, blocks }: Pick<MediaRequest, "operation" | "lba" | "blocks">,
  why: "EIO" | "ENODEV",
): OperatingError {
  const where = operation === "flush" ? "" : ` of ${blocks} blocks at ${lba}`;
  return new OperatingError(
    "drive.io",
    `Drive ${path}: ${operation}${where} failed: ${why}.`,
    "Check the drive and its cabling, and replace it if it fails again.",
  );
}
