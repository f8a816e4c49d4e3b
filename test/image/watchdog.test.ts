/** The primary's site process stands still: its machine is reset by the watchdog, and hosts notice a wait and nothing else. */

import { afterAll, beforeAll, describe, it } from "vitest";
import { Workbench } from "../conformance/workbench.ts";
import { BUILD_DEADLINE_MS, type BuiltImage, builtImage } from "./built-image.ts";
import { SITE_PROCESS } from "./open-image.ts";
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
  it("lose nothing when the primary's site process is stopped, and its watchdog resets it", async () => {
    await system.survives(async (shell) => {
      await shell.must(`kill -STOP ${SITE_PROCESS}`);
    });
  });
});
