/** The journal of a site that is down, written as if the site had received more before it stopped. */

import { crc32c } from "../../../src/base/crc32c.ts";
import { epoch, lba, MiB, sequence, volumeId } from "../../../src/base/units.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { DEADLINE, type SimulatedSystem } from "../system.ts";

/** Puts a write, and the start of its epoch if that is new, at the end of the journal of a site that is down. */
export async function appendTo(system: SimulatedSystem, name: string, of: number, data: Uint8Array, block: number) {
  const { universe } = system;
  const world = universe.machine(name).restart();
  const drive = await universe.result(world.drives.open("/journal", "read-write"));
  const journal = await universe.result(
    Journal.open(world, drive, { group: "prod", site: name, windowBytes: 4 * MiB }),
  );
  await universe.result(journal.promise(epoch(of)));
  const common = { epoch: epoch(of), volume: volumeId(0), lba: lba(block) };
  if (of > journal.lastEpoch) {
    const start = { ...common, kind: "epoch-start", sequence: sequence(journal.appended + 1), blocks: 0 } as const;
    journal.append({ ...start, checksums: new Uint32Array(0), data: new Uint8Array(0) });
  }
  const write = { ...common, kind: "write", sequence: sequence(journal.appended + 1), blocks: 1 } as const;
  journal.append({ ...write, checksums: Uint32Array.of(crc32c(data)), data });
  await universe.run(() => journal.durable === journal.appended, { deadline: DEADLINE });
  await universe.result(journal.close());
  await universe.result(drive.close());
  universe.machine(name).kill();
}
