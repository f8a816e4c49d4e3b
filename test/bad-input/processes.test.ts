/** Ports that are taken, sites that are started twice, signals at any moment. */

import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { qemuIo } from "../conformance/initiator.ts";
import { alone, HOST, mirrorSite, put, urlOf, withLegs } from "../conformance/sites.ts";
import { ANTIPODE, freePorts, Workbench } from "../conformance/workbench.ts";
import { EXIT, expectNoTrace, expectRefusal } from "./refusal.ts";

let bench: Workbench;
beforeEach(() => {
  bench = new Workbench();
});
afterEach(() => bench.close());

function occupy(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, HOST, () => resolve(server));
  });
}

const free = (server: Server) => new Promise((resolve) => server.close(resolve));

describe("a port that is taken", () => {
  it("for iSCSI is refused by its address, and the data is there when it is free", async () => {
    const [port] = await freePorts(1);
    const file = put(bench, alone({ port }));
    const site = await bench.serve(file);
    await qemuIo(bench, urlOf(port), "write -P 0x11 0 8M");
    expect(await site.stop()).toBe(0);
    const server = await occupy(port);
    expectRefusal(await bench.antipode("serve", file), EXIT.operation, "network.busy", `${HOST}:${port}`);
    await free(server);
    const again = await bench.serve(file);
    await qemuIo(bench, urlOf(port), "read -P 0x11 0 8M");
    expect(await again.stop()).toBe(0);
  });

  it("for the site link is refused by its address", async () => {
    const [port] = await freePorts(1);
    const file = put(bench, mirrorSite({ name: "pueblo", port }, "alone"));
    const server = await occupy(port);
    expectRefusal(await bench.antipode("serve", file), EXIT.operation, "network.busy", `${HOST}:${port}`);
    await free(server);
    expect(await (await bench.serve(file)).stop()).toBe(0);
  });

  it("of another machine is refused by its address", async () => {
    const config = alone({ port: 3260 });
    const target = { iqn: "iqn.2026-11.dev.antipode:test", listen: ["192.0.2.1:3260"] };
    const result = await bench.antipode("serve", put(bench, { ...config, target }));
    expectRefusal(result, EXIT.operation, "network.denied", "192.0.2.1:3260");
  });
});

describe("a site that is started twice", () => {
  it("is refused the second time, and the first goes on", async () => {
    const [port] = await freePorts(1);
    const file = put(bench, alone({ port }));
    const site = await bench.serve(file);
    await qemuIo(bench, urlOf(port), "write -P 0x12 0 8M");
    for (const options of [[], ["--overwrite"]]) {
      const result = await bench.antipode("serve", file, ...options);
      expectRefusal(result, EXIT.operation, "drive.busy", "alone-");
    }
    const status = await bench.antipode("ctl", "--dir", ".", "show", "status");
    expect(status.stdout).toContain("SERVING");
    await qemuIo(bench, urlOf(port), "read -P 0x12 0 8M");
    expect(await site.stop()).toBe(0);
  });
});

describe("a signal in the middle of start-up", () => {
  /** From before anything is read to after it serves. */
  const DELAYS_MS = [30, 80, 120, 160, 200, 250, 350, 500];

  it.each(["SIGTERM", "SIGINT", "SIGKILL"] as const)("%s does no harm at a first start", async (signal) => {
    const ports = await freePorts(DELAYS_MS.length);
    await Promise.all(
      DELAYS_MS.map(async (delay, at) => {
        const file = put(bench, alone({ port: ports[at], name: `site-${at}` }));
        const cut = bench.start(ANTIPODE, ["serve", file]);
        await new Promise((resolve) => setTimeout(resolve, delay));
        const code = await cut.stop(signal);
        if (signal !== "SIGKILL") expect([0, -1]).toContain(code);
        expectNoTrace(cut.text);
      }),
    );
    for (const [at, port] of ports.entries()) {
      const site = await bench.serve(bench.path(`site-${at}.yaml`));
      await qemuIo(bench, urlOf(port), "write -P 0x13 0 1M", "read -P 0x13 0 1M");
      expect(await site.stop()).toBe(0);
    }
  });

  it("does no harm to a site with data", async () => {
    const [port] = await freePorts(1);
    const file = put(bench, alone({ port }));
    const site = await bench.serve(file);
    await qemuIo(bench, urlOf(port), "write -P 0x14 0 8M");
    site.signal("SIGKILL");
    await site.exited;
    for (const delay of DELAYS_MS) {
      const cut = bench.start(ANTIPODE, ["serve", file]);
      await new Promise((resolve) => setTimeout(resolve, delay));
      await cut.stop(delay % 20 === 0 ? "SIGTERM" : "SIGKILL");
      expectNoTrace(cut.text);
    }
    const again = await bench.serve(file);
    await qemuIo(bench, urlOf(port), "read -P 0x14 0 8M");
    expect(await again.stop()).toBe(0);
  });

  it("ends a primary that waits for its legs, at once and in order", async () => {
    const [port, linkPort] = await freePorts(2);
    const file = put(bench, withLegs({ port }, { pueblo: linkPort }));
    const primary = bench.start(ANTIPODE, ["serve", file]);
    await primary.says("link to pueblo: waiting");
    const status = await bench.antipode("ctl", "--dir", ".", "show", "status");
    expect(status.stdout).toContain("STARTING");
    expect(status.stdout).toContain("pueblo");
    const start = performance.now();
    expect(await primary.stop()).toBe(0);
    expect(performance.now() - start).toBeLessThan(10_000);
    expectNoTrace(primary.text);
  });
});
