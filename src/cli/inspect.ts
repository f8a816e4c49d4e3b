/** `antipode inspect`: looks at a stopped site, read-only, and exports volumes. */

import { OperatingError } from "../base/operating-error.ts";
import { SparseFile } from "../platform/linux/host-files.ts";
import { linuxWorld } from "../platform/linux/linux-world.ts";
import { Inspection, type InspectionReport } from "../site/inspection.ts";
import { size } from "../site/render.ts";
import { readConfig } from "./config-file.ts";

export interface InspectOptions {
  readonly volume?: string;
  readonly export?: string;
  readonly json: boolean;
}

export async function inspect(file: string, options: InspectOptions): Promise<void> {
  if (options.export !== undefined && options.volume === undefined) {
    throw new OperatingError("usage.inspect", "--export needs the volume to export.", "Add --volume NAME.");
  }
  const inspection = await Inspection.open(linuxWorld(), readConfig(file));
  try {
    const { report } = inspection;
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : render(report));
    if (options.volume === undefined) return;
    if (options.export === undefined) await inspection.read(options.volume, async () => {});
    else await exportTo(options.export, options.volume, inspection);
    const done = options.export === undefined ? "every block is readable" : `written to ${options.export}`;
    if (!options.json) process.stdout.write(`volume ${options.volume}: ${done}\n`);
  } finally {
    await inspection.close();
  }
}

async function exportTo(path: string, volume: string, inspection: Inspection): Promise<void> {
  const file = new SparseFile(path);
  try {
    await inspection.read(volume, async (offset, part) => file.write(offset, part));
  } catch (error) {
    file.discard();
    throw error;
  }
  file.close();
}

function render(report: InspectionReport): string {
  const { journal } = report;
  const lines = [`site     ${report.site} of group ${report.group}`];
  for (const { name, level, state } of report.arrays) lines.push(`array    ${name}: RAID ${level}, ${state}`);
  for (const path of report.missing) lines.push(`missing  ${path}`);
  lines.push(
    `journal  epoch ${journal.lastEpoch}, sequences ${journal.retired + 1} to ${journal.appended}, promised ${journal.promisedEpoch}`,
  );
  for (const { name, lun, bytes, journalled } of report.volumes) {
    lines.push(`volume   ${name}: LUN ${lun}, ${size(bytes)}, ${journalled} requests in the journal`);
  }
  return `${lines.join("\n")}\n`;
}
