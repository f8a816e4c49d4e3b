/** Whether this process runs on an appliance, where things are there, and how files of its keys are called. */

import type { FirmwarePlaces } from "../firmware/firmware.ts";
import { fileExists } from "../platform/linux/host-files.ts";

/** Only the image has it. */
const APPLIANCE_MARK = "/etc/antipode-release";

export const APPLIANCE_REVISIONS = "/config";

/** `keys`: the public keys that the appliance believes, the owner's and those that came with the image. */
export const APPLIANCE_PLACES: FirmwarePlaces = {
  esp: "/efi",
  efivars: "/sys/firmware/efi/efivars",
  keys: { owner: "/config/firmware-keys.pem", image: "/etc/antipode/firmware-keys.pem" },
};

/** As its maker keeps them. */
export const PRIVATE_KEY = "firmware-key.pem";
export const PUBLIC_KEY = "firmware-keys.pem";

export function isAppliance(): boolean {
  return fileExists(APPLIANCE_MARK);
}
