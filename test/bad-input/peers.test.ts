/** Sites that do not agree: about the group, the volumes, who may feed whom, or who is the primary. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { qemuIo, tryQemuIo } from "../conformance/initiator.ts";
import { type Config, mirrorSite, put, urlOf, withLegs } from "../conformance/sites.ts";
import { ANTIPODE, freePorts, type Running, until, Workbench } from "../conformance/workbench.ts";
import { EXIT, expectNoTrace, expectRefusal } from "./refusal.ts";

let bench: Workbench;
let port: number;
let linkPort: number;
beforeEach(async () => {
  bench = new Workbench();
  [port, linkPort] = await freePorts(2);
});
afterEach(() => bench.close());

const status = async (site: string): Promise<string> =>
  (await bench.antipode("ctl", "--socket", bench.path(`${site}.sock`), "show", "status")).stdout;

async function verified(site: string): Promise<void> {
  const result = await bench.antipode("ctl", "--socket", bench.path(`${site}.sock`), "verify");
  expect(result.code, result.text).toBe(0);
}

describe("a primary whose mirror site", () => {
  const volume = { array: "main", size: "8MiB", lun: 0 };
  it.each<[string, Config, string, string]>([
    [
      "has a smaller volume",
      { volumes: { lun0: { ...volume, size: "4MiB" } } },
      "link.volumes",
      "1024 blocks at pueblo",
    ],
    ["has its volume under another name", { volumes: { other: volume } }, "link.volumes", "other at pueblo"],
    [
      "has its volume under another LUN",
      { volumes: { lun0: { ...volume, lun: 3 } } },
      "link.volumes",
      "volume 0 (lun0)",
    ],
    ["is of another group", { group: "other" }, "link.group", "group other"],
    ["is another site", { site: { name: "boston" } }, "link.site", "boston"],
    ["expects another primary", { link: undefined }, "link.stranger", "alone"],
  ])("%s says what they disagree about and serves nobody", async (_what, changes, code, mention) => {
    const good = mirrorSite({ name: "pueblo", port: linkPort }, "alone");
    const stranger = mirrorSite({ name: "pueblo", port: linkPort }, "denver");
    // Drives of their own, so that the site can be set right afterwards.
    const own = {
      drives: [{ path: "wrong-drive", size: "32MiB" }],
      journal: { device: "wrong-journal", size: "16MiB" },
    };
    const wrong = { ...(code === "link.stranger" ? stranger : good), ...withoutUndefined(changes), ...own };
    const mirror = await bench.serve(put(bench, wrong, "wrong"));
    const primary = bench.start(ANTIPODE, ["serve", put(bench, withLegs({ port }, { pueblo: linkPort }))]);
    await primary.says(`"code":"${code}"`);
    const shown = await status("alone");
    expect(shown).toMatch(/STARTING/);
    expect(shown).toContain(mention);
    expect((await tryQemuIo(bench, urlOf(port), "read 0 4k")).code).not.toBe(0);
    expect(await mirror.stop()).toBe(0);
    const right = await bench.serve(put(bench, good));
    let serving = primary;
    if (code === "link.group") {
      // It looks again by itself, though not often.
      await primary.says('"msg":"serving hosts"', 60_000);
    } else {
      expect(await primary.stop()).toBe(0);
      serving = await bench.serve(bench.path("alone.yaml"));
    }
    await qemuIo(bench, urlOf(port), "write -P 0x71 0 8M", "read -P 0x71 0 8M");
    await verified("alone");
    expect(await serving.stop()).toBe(0);
    expect(await right.stop()).toBe(0);
    expectNoTrace(primary.text + mirror.text + right.text);
  });
});

function withoutUndefined(config: Config): Config {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

describe("two primaries", () => {
  let first: Running;
  let mirror: Running;
  let otherPort: number;

  let second: Running;

  const startSecond = (): Running =>
    bench.start(ANTIPODE, ["serve", put(bench, withLegs({ port: otherPort, name: "usurper" }, { pueblo: linkPort }))]);
  const states = async () => [await status("alone"), await status("usurper")];

  beforeEach(async () => {
    [otherPort] = await freePorts(1);
    const config = mirrorSite({ name: "pueblo", port: linkPort }, "alone");
    mirror = await bench.serve(
      put(bench, { ...config, link: { ...(config.link as object), from: ["alone", "usurper"] } }),
    );
    first = await bench.serve(put(bench, withLegs({ port }, { pueblo: linkPort })));
  });

  it("do not both serve, and no acknowledged write is lost", async () => {
    await qemuIo(bench, urlOf(port), "write -P 0x72 0 8M");
    second = startSecond();
    await until(
      async () => (await states()).some((text) => /FENCED|FAILED/.test(text)) || !second.running,
      () => `one of the two to give way\n${first.text}\n${second.text}`,
    );
    const [ours, theirs] = await states();
    expect([ours, theirs].filter((text) => /SERVING/.test(text)).length, ours + theirs).toBeLessThanOrEqual(1);
    await second.stop();
    expect(await first.stop()).toBe(0);
    const again = await bench.serve(bench.path("alone.yaml"));
    await qemuIo(bench, urlOf(port), "read -P 0x72 0 8M");
    await verified("alone");
    expect(await again.stop()).toBe(0);
    expect(await mirror.stop()).toBe(0);
    expectNoTrace(first.text + second.text + mirror.text + again.text);
  });

  it("that are new, and so take the same epoch, never acknowledge side by side", async () => {
    second = startSecond();
    await second.says("link to pueblo: ");
    const attempts = () =>
      Promise.all([port, otherPort].map((at) => tryQemuIo(bench, urlOf(at), "write -P 0x74 0 64k")));
    const written = await attempts();
    expect(written.filter(({ code }) => code === 0).length).toBeLessThanOrEqual(1);
    await until(
      async () => (await states()).some((text) => /FENCED|FAILED/.test(text)) || !second.running,
      () => `one of the two to give way\n${first.text}\n${second.text}`,
      60_000,
    );
    expect((await states()).filter((text) => /SERVING/.test(text)).length).toBeLessThanOrEqual(1);
    await second.stop();
    expect(await first.stop()).toBe(0);
    const again = await bench.serve(bench.path("alone.yaml"));
    if (written[0].code === 0) await qemuIo(bench, urlOf(port), "read -P 0x74 0 64k");
    await verified("alone");
    expect(await again.stop()).toBe(0);
    expectNoTrace(first.text + second.text + mirror.text);
  });

  it("of which the second has the first one's drives is refused", async () => {
    await qemuIo(bench, urlOf(port), "write -P 0x72 0 8M");
    const thief = withLegs({ port: otherPort }, { pueblo: linkPort });
    const result = await bench.antipode("serve", put(bench, thief, "thief"));
    expectRefusal(result, EXIT.operation, "drive.busy", "alone-");
    await qemuIo(bench, urlOf(port), "read -P 0x72 0 8M", "write -P 0x73 0 1M");
    await verified("alone");
    expect(await first.stop()).toBe(0);
  });
});
