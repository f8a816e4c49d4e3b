/** As watchdog.test.ts, by another hang: the primary's event loop never ends its turn, while the process runs on. */

import { wedge } from "./open-image.ts";
import { testThreeAppliances } from "./three-appliances.ts";

// What the event loop calls for everything that a host or another site sends.
testThreeAppliances("event loop is stuck", (shell) => wedge(shell, "recv"));
