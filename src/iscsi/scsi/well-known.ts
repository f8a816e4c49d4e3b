/**
 * The REPORT LUNS well-known logical unit of SPC-4: where a host that knows no LUN asks which there are. It is there
 * whatever units the target has, and is none of them.
 */

import type { Command } from "./command.ts";
import { targetIdentification } from "./identification.ts";
import { standardData, withPageHeader } from "./inquiry.ts";
import { formatSense, invalidCdbField, Senses } from "./sense.ts";
import { reportLuns } from "./spc.ts";
import type { LunList, Nexus } from "./unit.ts";

const WELL_KNOWN = 0x1e;
const IDENTITY = { vendor: "ISCSI", product: "REPORT LUNS", revision: "0" };
const NACA = 0x04;
const SUPPORTED_PAGES = 0x00;
const DEVICE_IDENTIFICATION = 0x83;

export function decodeForReportLuns(command: Command, nexus: Nexus): void {
  const { cdb } = command;
  switch (cdb[0]) {
    case 0x00:
      if ((cdb[5] & NACA) !== 0) command.fail(invalidCdbField(5));
      else if (nexus.attentions.length > 0) command.fail(nexus.report() ?? Senses.PowerOn);
      return;
    case 0x03:
      command.answer(formatSense(nexus.report() ?? Senses.None, (cdb[1] & 1) !== 0), cdb[4]);
      return;
    case 0x12:
      inquiry(command, nexus.siblings);
      return;
    case 0xa0:
      reportLuns(command, nexus.siblings);
      return;
    default:
      command.fail(Senses.InvalidOpcode);
      return;
  }
}

function inquiry(command: Command, siblings: LunList): void {
  const data = (command.cdb[1] & 1) === 0 ? standard(command) : vitalProductData(command, siblings);
  if (data === undefined) command.fail(invalidCdbField(2));
  else command.answer(data, command.view.getUint16(3));
}

function standard(command: Command): Uint8Array | undefined {
  return command.cdb[2] === 0 ? standardData(IDENTITY, WELL_KNOWN) : undefined;
}

function vitalProductData(command: Command, { portGroups, targetPort }: LunList): Uint8Array | undefined {
  switch (command.cdb[2]) {
    case SUPPORTED_PAGES:
      return withPageHeader(WELL_KNOWN, SUPPORTED_PAGES, new Uint8Array([SUPPORTED_PAGES, DEVICE_IDENTIFICATION]));
    case DEVICE_IDENTIFICATION:
      return withPageHeader(WELL_KNOWN, DEVICE_IDENTIFICATION, targetIdentification(portGroups, targetPort));
    default:
      return undefined;
  }
}
