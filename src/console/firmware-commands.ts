/** What the console does about the firmware of the appliance that it is on, as `antipode firmware` does it. */

import { renderFirmware } from "../firmware/render.ts";
import { type ConsoleCommand, command, showProgress } from "./command.ts";
import { withFile } from "./outside-file.ts";

export const FIRMWARE: readonly ConsoleCommand[] = [
  command("show firmware", "", "which version runs, what the next start will be of, and why", async (desk) =>
    desk.conversation.print(renderFirmware(await desk.appliance.firmware.status())),
  ),
  command("firmware install", "FILE", "put an update into the slot that does not run", async (desk, [file]) => {
    const { appliance, conversation } = desk;
    const status = await withFile(desk, file, (path) =>
      showProgress(conversation, (onProgress) => appliance.firmware.install(path, onProgress)),
    );
    await conversation.print(renderFirmware(status));
  }),
  command("firmware rollback", "[VERSION]", "have the next start be of the other slot", async (desk, [version]) =>
    desk.conversation.print(renderFirmware(await desk.appliance.firmware.choose(version))),
  ),
];
