/** The resident memory of every site's process, as the kernel counts it. */

import { readFileSync } from "node:fs";
import { MiB, type SiteName, type System } from "./harness.ts";

const SAMPLE_MS = 250;
const KiB = 1024;

export class MemoryWatch {
  /** The most that each site's process has had at any time. */
  readonly peaks = new Map<SiteName, number>();
  readonly #system: System;
  readonly #timer: NodeJS.Timeout;

  constructor(system: System) {
    this.#system = system;
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** @returns the peaks */
  stop(): ReadonlyMap<SiteName, number> {
    clearInterval(this.#timer);
    this.#sample();
    return this.peaks;
  }

  toString(): string {
    return Array.from(this.peaks, ([name, bytes]) => `${name} ${Math.round(bytes / MiB)} MiB`).join(", ");
  }

  #sample(): void {
    for (const site of this.#system.sites.values()) {
      if (!site.running) continue;
      const [, resident] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${site.pid}/status`, "utf8")) ?? [];
      const bytes = Number(resident) * KiB;
      if (Number.isNaN(bytes)) continue;
      this.peaks.set(site.name, Math.max(this.peaks.get(site.name) ?? 0, bytes));
    }
  }
}
