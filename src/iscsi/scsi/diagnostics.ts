/**
 * SEND DIAGNOSTIC, SPC-4: the default self-test, which reads the first block from the device. There are neither other
 * self-tests nor diagnostic pages.
 */

import type { Command } from "./command.ts";
import { CheckCondition, invalidCdbField, SenseKey, Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";

const SELF_TEST = 0x04;
/** SELF-TEST CODE. */
const OTHER_TESTS = 0xe0;
const LENGTH_BYTE = 3;

export function sendDiagnostic(command: Command, unit: LogicalUnit): void {
  const { cdb, view } = command;
  if ((cdb[1] & OTHER_TESTS) !== 0) command.fail(invalidCdbField(1));
  else if (view.getUint16(LENGTH_BYTE) !== 0) command.fail(invalidCdbField(LENGTH_BYTE));
  else if ((cdb[1] & SELF_TEST) !== 0 && unit.blockCount > 0) command.run(selfTest, false);
}

async function selfTest(unit: LogicalUnit, { signal }: Command): Promise<void> {
  const buffer = unit.host.buffers.take(unit.blockSize);
  try {
    await unit.device.read(0, buffer.subarray(0, unit.blockSize), signal);
  } catch (error) {
    // A device that is not ready now has not failed the test.
    const sense = unit.host.senseFor(error, false);
    if (signal.aborted || sense === "BUSY" || sense.key !== SenseKey.MediumError) throw error;
    unit.host.deviceFailed(unit, error);
    throw new CheckCondition(Senses.SelfTestFailed);
  } finally {
    unit.host.buffers.give(buffer);
  }
}
