/** As watchdog.test.ts, by another hang: the primary's event loop never ends its turn, while the process runs on. */

import { afterAll, beforeAll, describe, it } from "vitest";
import { Workbench } from "../conformance/workbench.ts";
import { BUILD_DEADLINE_MS, type BuiltImage, builtImage } from "./built-image.ts";
import { wedge } from "./open-image.ts";
import { sanHostSystem } from "./san-host-system.ts";
import { ThreeAppliances } from "./three-appliances.ts";

let bench: Workbench;
let image: BuiltImage;
let system: ThreeAppliances;

beforeAll(async () => {
  bench = new Workbench();
  image = await builtImage(bench);
  sanHostSystem();
  system = await ThreeAppliances.make(bench, image);
}, BUILD_DEADLINE_MS + 60_000);
afterAll(async () => {
  await bench.close();
  await system?.close();
});

describe("three appliances and a SAN host", () => {
  it("lose nothing when the primary's event loop is stuck, and its watchdog resets it", async () => {
    // What the event loop calls for everything that a host or another site sends.
    await system.survives((shell) => wedge(shell, "recv"));
  });
});
