import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkCases } from "../network.cases.ts";
import type { Connection, ConnectionHandlers } from "../network.ts";
import { linuxClock } from "./linux-clock.ts";
import { linuxNetwork } from "./linux-network.ts";

const network = linuxNetwork(linuxClock());
const deaf: ConnectionHandlers = { onData() {}, onDrain() {}, onClose() {} };
const ignore = (): ConnectionHandlers => deaf;

const loopbacks = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
const hosts = loopbacks.filter(({ internal, address }) => internal && /^(127\.0\.0\.1|::1)$/.test(address));

for (const { address: host } of hosts) {
  networkCases(`TCP at ${host}`, async () => ({
    server: network,
    client: network,
    free: { host, port: 0 },
    silent: { host, port: 1 },
  }));
}

networkCases("Unix sockets", async () => {
  const directory = mkdtempSync(join(tmpdir(), "network-"));
  return {
    server: network,
    client: network,
    free: { path: join(directory, "socket") },
    silent: { path: join(directory, "nobody") },
    dispose: async () => rmSync(directory, { recursive: true }),
  };
});

describe("the network of this machine", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "network-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("takes over the socket file that a killed process left", async () => {
    const path = join(directory, "left");
    const script = `Bun.listen({ unix: ${JSON.stringify(path)}, socket: { data() {} } }); process.kill(process.pid, "SIGKILL");`;
    spawnSync(process.execPath, ["-e", script]);
    expect(existsSync(path)).toBe(true);
    const listener = await network.listen({ path }, ignore);
    const connection = await network.connect({ path }, ignore);
    connection.abort();
    listener.close();
    expect(existsSync(path)).toBe(false);
  });

  it("does not take over what is no socket", async () => {
    const path = join(directory, "precious");
    writeFileSync(path, "content");
    await expect(network.listen({ path }, ignore)).rejects.toMatchObject({ code: "network.busy" });
    expect(existsSync(path)).toBe(true);
  });

  it("listens only at addresses of this machine", async () => {
    for (const address of [
      { host: "203.0.113.9", port: 0 },
      { host: "nowhere.invalid", port: 0 },
      { path: join(directory, "none", "socket") },
    ]) {
      await expect(network.listen(address, ignore)).rejects.toMatchObject({ code: "network.denied" });
    }
  });

  it("says that a name is not known", async () => {
    await expect(network.connect({ host: "nowhere.invalid", port: 1 }, ignore)).rejects.toMatchObject({
      code: "network.unreachable",
      what: "nowhere.invalid:1 cannot be reached: its name is not known.",
    });
  });

  it("is gone within its patience where the peer never closes", async () => {
    // A peer of the runtime's own that keeps its side open after ours has ended.
    const held = Bun.listen({ hostname: "127.0.0.1", port: 0, allowHalfOpen: true, socket: { data() {} } });
    let connection: Connection | undefined;
    const closed = new Promise<void>((resolve) => {
      void network
        .connect({ host: "127.0.0.1", port: held.port }, () => ({ ...deaf, onClose: resolve }))
        .then((made) => {
          connection = made;
          made.close();
        });
    });
    await closed;
    expect(connection?.write(new Uint8Array(1))).toBe(0);
    held.stop(true);
  });

  it("accepts a connection that its peer has reset already, and tells of its end", async () => {
    const closed = Promise.withResolvers<string>();
    const listener = await network.listen({ host: "127.0.0.1", port: 0 }, ({ remote }) => ({
      ...deaf,
      onClose: () => closed.resolve(remote),
    }));
    const script = `
      const socket = { open(socket) { socket.terminate(); process.exit(0); }, data() {} };
      await Bun.connect({ ...${JSON.stringify(listener.address)}, hostname: "127.0.0.1", socket });
    `;
    // This process accepts nothing while it waits for the other one to end.
    const { status } = spawnSync(process.execPath, ["-e", script], { timeout: 10_000 });
    expect(status).toBe(0);
    await expect(closed.promise).resolves.toBe("an address that is gone");
    listener.close();
  });

  it("ends the process where a handler throws", () => {
    const module = JSON.stringify(join(import.meta.dirname, "linux-network.ts"));
    const clock = JSON.stringify(join(import.meta.dirname, "linux-clock.ts"));
    const script = `
      const { linuxNetwork } = await import(${module});
      const { linuxClock } = await import(${clock});
      const network = linuxNetwork(linuxClock());
      const deaf = { onData() {}, onDrain() {}, onClose() {} };
      const bad = { ...deaf, onData() { throw new Error("broken invariant"); } };
      const listener = await network.listen({ host: "127.0.0.1", port: 0 }, () => bad);
      const connection = await network.connect(listener.address, () => deaf);
      connection.write(new Uint8Array(1));
      setTimeout(() => process.exit(0), 5000);
    `;
    const ended = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
    expect(ended.status).toBe(1);
    expect(ended.stderr).toContain("broken invariant");
  });
});
