import { afterEach, expect, it } from "vitest";
import { BufferDevice, bunHost } from "../src/iscsi/bun/index.ts";
import { TargetServer } from "../src/iscsi/index.ts";
import { linuxWorld } from "../src/platform/linux/linux-world.ts";
import { type Load, runLoad, summary } from "./load.ts";
import { TARGET_IQN } from "./target.ts";

const VOLUME_BYTES = 8 * 1024 * 1024;
const { arithmetic } = linuxWorld();
const servers: TargetServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serve(content: Uint8Array): Promise<Load> {
  const server = new TargetServer({ ...bunHost(), crc32c: (...covered) => arithmetic.crc32c(...covered) });
  servers.push(server);
  const identity = { vendor: "ANTIPODE", product: "Test", revision: "1", serial: "1", naa: 0x3000000000000001n };
  server.addTarget({ name: TARGET_IQN, luns: [{ lun: 0, device: new BufferDevice(content), identity }] });
  const { address } = await server.listen({ host: "127.0.0.1", port: 0 });
  if (!("port" in address)) throw new Error("no port");
  const place = { host: address.host, port: address.port, target: TARGET_IQN, lun: 0, volumeBytes: VOLUME_BYTES };
  return {
    ...place,
    blockBytes: 4096,
    kind: "read",
    order: "random",
    requestBytes: 4096,
    sessions: 1,
    depth: 4,
    digests: false,
    seconds: 0.3,
  };
}

it.each([false, true])("loads a target with reads of many sessions, digests: %s", async (digests) => {
  const load = await serve(new Uint8Array(VOLUME_BYTES));
  const result = await runLoad({ ...load, sessions: 3, digests });
  expect(result.requests).toBeGreaterThan(0);
  expect(result.p99Micros).toBeGreaterThanOrEqual(result.medianMicros);
  expect(result.slowestShare).toBeGreaterThan(0);
  expect(result.slowestShare).toBeLessThanOrEqual(1);
});

it.each([4096, 1024 * 1024])("writes %i bytes at a time", async (requestBytes) => {
  const content = new Uint8Array(VOLUME_BYTES);
  const load = await serve(content);
  await runLoad({ ...load, kind: "write", order: "sequential", requestBytes, digests: true });
  expect(content.includes(0xa5)).toBe(true);
});

it("fails where a request does", async () => {
  const load = await serve(new Uint8Array(VOLUME_BYTES));
  await expect(runLoad({ ...load, volumeBytes: 1000 * VOLUME_BYTES })).rejects.toThrow("status 2");
  await expect(runLoad({ ...load, target: "iqn.2026-11.dev.antipode:other" })).rejects.toThrow("login failed");
});

it("sums up", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  expect(summary([hundred, hundred.slice(0, 50)], 2)).toEqual({
    requests: 150,
    seconds: 2,
    medianMicros: 38,
    p99Micros: 99,
    slowestShare: 50 / 75,
  });
});
