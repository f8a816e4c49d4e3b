/** How the firmware looks to people: plain text of at most 100 columns, fit for a serial line. */

import { MiB } from "../base/units.ts";
import type { FirmwareStatus, SlotStatus } from "./firmware.ts";
import type { LastChange, Outcome } from "./last-change.ts";
import type { Marked } from "./slots.ts";
import type { Manifest } from "./update-file.ts";

export function renderFirmware({ running, next, slots, lastChange }: FirmwareStatus): string {
  const lines = [
    `running  ${running ?? "not started from a slot"}`,
    `next     ${next ?? "nothing can be started"}`,
    ...slots.map((slot) => `slot     ${slot.version}: ${stateOf(slot)}, ${mebibytes(slot.bytes)}`),
    ...outcomeLines(lastChange),
  ];
  return text(lines);
}

export function renderManifest({ product, version, formats, payloadBytes }: Manifest): string {
  const { configuration, journal, array } = formats;
  return text([
    `update   ${version} for ${product}, ${mebibytes(payloadBytes)}, rightly signed, whole`,
    `reads    configurations up to format ${configuration.reads} (writes ${configuration.writes})`,
    `         journals ${journal.lowest} to ${journal.highest}, arrays ${array.lowest} to ${array.highest}`,
  ]);
}

export function renderMarked(marked: Marked): string {
  switch (marked) {
    case "marked":
      return "marked good: it is started from now on without counting\n";
    case "was-good":
      return "it was marked good already\n";
    case "set-aside":
      return "not marked: another version has been chosen for the next start\n";
  }
}

function stateOf({ state, tries, running }: SlotStatus): string {
  const here = running ? ", running" : "";
  switch (state) {
    case "good":
      return `good${here}`;
    case "on-trial":
      return `on trial, ${tries?.left} starts left${here}`;
    case "failed":
      return `did not come up in ${tries?.done} starts, last resort${here}`;
    case "set-aside":
      return `set aside, last resort${here}`;
  }
}

function outcomeLines(outcome: Outcome): readonly string[] {
  if (outcome.is === "none") return ["change   none: as flashed"];
  const { change } = outcome;
  const asked = `change   ${describe(change)}, ${time(change.atMs)}`;
  switch (outcome.is) {
    case "done":
      return [asked];
    case "pending":
      return [asked, "         waits for the next start"];
    case "fell-back":
      return [asked, `         FELL BACK: ${change.to} did not come up in ${outcome.starts} starts`];
    case "unfinished":
      return [asked, "         UNFINISHED: it was cut off; ask for it again"];
  }
}

function describe({ cause, from, to }: LastChange): string {
  return cause === "update" ? `update from ${from} to ${to}` : `an operator chose ${to} in the place of ${from}`;
}

function time(ms: number): string {
  const format = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: "UTC" });
  return `${format.format(ms)} UTC`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / MiB).toFixed(1)} MiB`;
}

function text(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}
