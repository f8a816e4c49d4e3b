/** Commands of SPC-4: what every device type answers. Modes and logs have files of their own. */

import { reachOf } from "./alua.ts";
import type { Command } from "./command.ts";
import { standardInquiry, vitalProductData } from "./inquiry.ts";
import { REPORT_LUNS_UNIT } from "./lun.ts";
import { formatSense, invalidCdbField, Senses } from "./sense.ts";
import type { LogicalUnit, LunList, Nexus } from "./unit.ts";

export function testUnitReady(): void {
  // A command starts out as GOOD with no data.
}

/** SPC-4 section 6.6; answered for LUNs without a unit as well. */
export function inquiry(command: Command, unit: LogicalUnit | undefined, { siblings }: Nexus): void {
  const evpd = (command.cdb[1] & 1) !== 0;
  const page = command.cdb[2];
  const allocation = command.view.getUint16(3);
  if (!evpd) {
    if (page !== 0) {
      command.fail(invalidCdbField(2));
      return;
    }
    command.answer(standardInquiry(unit), allocation);
    return;
  }
  const data = unit === undefined ? undefined : vitalProductData(unit, siblings.targetPort, page);
  if (data === undefined) {
    command.fail(invalidCdbField(2));
    return;
  }
  command.answer(data, allocation);
}

/** SPC-4 section 6.37: the pending unit attention, which counts as reported, else what the unit is busy with. */
export function requestSense(command: Command, nexus: Nexus): void {
  const descriptor = (command.cdb[1] & 1) !== 0;
  const { unit } = nexus;
  const sense =
    unit === undefined
      ? Senses.LunNotSupported
      : (nexus.report() ??
        reachOf(nexus)?.sense ??
        unit.refusal?.sense() ??
        (unit.loaded ? Senses.None : Senses.MediumNotPresent));
  command.answer(formatSense(sense, descriptor), command.cdb[4]);
}

/** SPC-4 section 6.33; any LUN answers it. */
export function reportLuns(command: Command, list: LunList): void {
  const select = command.cdb[2];
  const allocation = command.view.getUint32(6);
  if (allocation < 16) {
    command.fail(invalidCdbField(6));
    return;
  }
  if (select > 2) {
    command.fail(invalidCdbField(2));
    return;
  }
  // 00h: units; 01h: well-known units; 02h: both.
  const luns = [...(select === 1 ? [] : list.luns()), ...(select === 0 ? [] : [REPORT_LUNS_UNIT])];
  const bytes = new Uint8Array(8 + 8 * luns.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 8 * luns.length);
  luns.forEach((lun, index) => {
    view.setUint16(8 + 8 * index, lun < 256 ? lun : 0x4000 | lun);
  });
  if (select !== 1) list.lunsReported();
  command.answer(bytes, allocation);
}
