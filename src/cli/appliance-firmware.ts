/** The firmware of the appliance that this process runs on: where it is, and how it comes to be trusted with the next start. */

import type pino from "pino";
import { isOperatingError } from "../base/operating-error.ts";
import { Revisions } from "../config/revisions.ts";
import { Firmware, type FirmwarePlaces } from "../firmware/firmware.ts";
import { lockFolder } from "../platform/linux/folder-lock.ts";
import { linuxClock } from "../platform/linux/linux-clock.ts";
import { linuxFiles } from "../platform/linux/linux-files.ts";
import { linuxSignatures } from "../platform/linux/linux-signatures.ts";
import { formatsInUse } from "../site/formats.ts";
import type { Site } from "../site/site.ts";
import { dataPathCanary } from "../watchdog/canary.ts";
import { APPLIANCE_PLACES, APPLIANCE_REVISIONS, isAppliance } from "./appliance-places.ts";

/** @param revisions the folder of the configuration's revisions, which another firmware has to be able to read */
export function openFirmware(places: FirmwarePlaces = APPLIANCE_PLACES, revisions = APPLIANCE_REVISIONS): Firmware {
  const world = { files: linuxFiles(), signatures: linuxSignatures, clock: linuxClock() };
  return new Firmware(
    world,
    places,
    async () => formatsInUse(await new Revisions(revisions, world.files, world.clock).formatInUse()),
    () => lockFolder(places.esp),
  );
}

/**
 * The slot that runs has proven itself once its site is up and a canary has passed through the data path. Other sites need
 * not be there: that one of them is away says nothing about this firmware. It is only said here: the site process may not
 * change slots, so /sbin/site, which reads this line, has it marked.
 */
export async function proveFirmware(site: Site, log: pino.Logger): Promise<void> {
  if (!isAppliance()) return;
  try {
    await dataPathCanary(site.pipeline, site.storage.journal)();
    log.info("the data path works: this firmware has proven itself");
  } catch (error) {
    if (!isOperatingError(error)) throw error;
    log.warn({ code: error.code, remedy: error.remedy }, `this firmware has not proven itself: ${error.what}`);
  }
}
