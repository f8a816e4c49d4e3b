/** The primary's site process stands still: its machine is reset by the watchdog, and hosts notice a wait and nothing else. */

import { SITE_PROCESS } from "./open-image.ts";
import { testThreeAppliances } from "./three-appliances.ts";

testThreeAppliances("site process is stopped", async (shell) => {
  await shell.must(`kill -STOP ${SITE_PROCESS}`);
});
