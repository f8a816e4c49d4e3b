/** What sequences begin with: an array that lacks nothing, one that lacks a member, one with a block gone bad. */

import { checksumBlock, dataBlock } from "../../../src/raid/member-layout.ts";
import { assemble, type Bench, machineWith } from "./bench.ts";
import type { Image } from "./crash-drive.ts";
import type { Expectation } from "./expectation.ts";
import type { Start } from "./operations.ts";
import { type Page, pageOf } from "./page.ts";
import { flush, perform } from "./recovery.ts";

export function whole(bench: Bench): Start {
  const drives = Array.from({ length: bench.members }, (_, drive) => drive);
  const expectation: Expectation = {
    base: bench.content,
    pending: [],
    slots: drives.map((drive) => ({ drive, state: "active" })),
    drives,
    dead: [],
    dirty: false,
  };
  return { name: "whole", image: bench.start, life: 0, expectation };
}

/** Without the member of a slot, whose drive still says that it is one; closed since. */
export function degraded(bench: Bench, lost: number): Start {
  const start = whole(bench);
  const machine = machineWith(start.image, 0);
  machine.drives[lost].die();
  const array = machine.run(
    assemble(
      machine,
      machine.drives.filter((_, drive) => drive < bench.members && drive !== lost),
    ),
  );
  machine.run(perform(array, [{ kind: "write", first: 0, pages: bench.content.slice(0, 1) }]));
  machine.run(flush(array));
  machine.run(array.close());
  const slots = start.expectation.slots.map((slot, i) => (i === lost ? { ...slot, state: "lost" as const } : slot));
  const expectation: Expectation = { ...start.expectation, slots, dead: [lost] };
  return { name: `without drive ${lost}`, image: machine.image, life: 1, expectation };
}

/** A bit of a data block has turned. */
export function rotten(bench: Bench, drive: number, index: number): Start {
  return changed(bench, `block ${index} of drive ${drive} rotten`, drive, dataBlock(index), (bytes) => {
    bytes[77] ^= 4;
  });
}

/** The first write of a checksum block was lost. */
export function unwritten(bench: Bench, drive: number, index: number): Start {
  return changed(bench, `block ${index} of drive ${drive} without its checksum`, drive, checksumBlock(0), (bytes) => {
    bytes.fill(0, 4 * index, 4 * index + 4);
  });
}

function changed(bench: Bench, name: string, drive: number, block: number, change: (bytes: Uint8Array) => void): Start {
  const start = whole(bench);
  const image: Image = start.image.map((pages, i) => {
    if (i !== drive) return pages;
    const bytes = pages[block].bytes.slice();
    change(bytes);
    const next: Page[] = pages.slice();
    next[block] = pageOf(bytes);
    return next;
  });
  return { ...start, name, image, expectation: { ...start.expectation, rotten: true } };
}
