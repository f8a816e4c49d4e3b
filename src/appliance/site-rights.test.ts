import { describe, expect, it } from "vitest";
import { parseConfig } from "../config/config.ts";
import { renderRights, rightsOf } from "./site-rights.ts";

const rights = (more: string, listen = "0.0.0.0:3260") =>
  rightsOf(
    parseConfig(
      `
site: { name: denver }
group: prod
role: primary
drives: [/dev/disk/by-id/a, { path: /dev/disk/by-id/b }]
arrays: { main: { level: 1, drives: [0, 1] } }
volumes: { vm: { array: main, size: 1GiB, lun: 0 } }
target: { iqn: "iqn.2026-11.dev.antipode:prod", listen: ["${listen}"] }
${more}`,
      "denver.yaml",
    ),
  );

describe("the rights of a site process", () => {
  it("are the devices that its configuration names, and no capability", () => {
    const found = rights("journal: { device: /dev/pmem0 }\nwatchdog: {}");
    expect(found).toEqual({
      devices: ["/dev/disk/by-id/a", "/dev/disk/by-id/b", "/dev/pmem0", "/dev/watchdog"],
      capabilities: [],
    });
    expect(renderRights(found)).toBe(
      "device /dev/disk/by-id/a\ndevice /dev/disk/by-id/b\ndevice /dev/pmem0\ndevice /dev/watchdog\n",
    );
  });

  it("are a capability where a port is one that not every process may listen on", () => {
    const journal = "journal: { device: /dev/pmem0 }";
    expect(rights(journal, "0.0.0.0:1024").capabilities).toEqual([]);
    expect(rights(journal, "0.0.0.0:0").capabilities).toEqual([]);
    expect(rights(journal, "0.0.0.0:1023").capabilities).toEqual(["net_bind_service"]);
    expect(rights(`${journal}\nlink: { listen: "0.0.0.0:860" }`).capabilities).toEqual(["net_bind_service"]);
    expect(renderRights(rights(journal, "0.0.0.0:860"))).toMatch(/\ncapability net_bind_service\n$/);
  });

  it("leave out what is no device, and what would be more than one", () => {
    expect(rights('journal: { device: "/dev/pmem0\\ncapability sys_admin", size: 1GiB }').devices).toHaveLength(2);
    expect(rights("journal: { device: journal.img, size: 1GiB }").devices).toHaveLength(2);
    for (const path of ["/dev/a b", "/dev/*", "/dev/[a-z]", "/dev/$x"]) {
      expect(rights(`journal: { device: "${path}", size: 1GiB }`).devices, path).toHaveLength(2);
    }
  });
});
