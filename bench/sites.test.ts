import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readConfig } from "../src/cli/config-file.ts";
import { systemSites } from "./sites.ts";

const dir = mkdtempSync(join(tmpdir(), "antipode-bench-test-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const MiB = 1024 * 1024;
const plan = { volumeBytes: 256 * MiB, cacheBytes: 32 * MiB, blockBytes: 512, targetPort: 4000 };

describe("the measured systems", () => {
  it.each([
    { legs: [], roles: ["primary"] },
    { legs: [["first"], ["second"]], roles: ["primary", "mirror", "mirror"] },
    { legs: [["near", "far", "end"]], roles: ["primary", "relay", "relay", "mirror"] },
  ])("are valid configurations: $roles", ({ legs, roles }) => {
    const sites = systemSites({ ...plan, legs, linkPorts: [4001, 4002, 4003, 4004] });
    const configs = sites.map(({ name, config }) => {
      const file = join(dir, `${name}.yaml`);
      writeFileSync(file, JSON.stringify(config));
      return readConfig(file);
    });
    expect(configs.map(({ role }) => role)).toEqual(roles);
  });
});
