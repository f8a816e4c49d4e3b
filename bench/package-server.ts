/** The package by itself, over one file: `bun bench/package-server.ts FILE PORT BLOCK-BYTES`. */

import { bunHost, FileDevice } from "../src/iscsi/bun/index.ts";
import { TargetServer } from "../src/iscsi/index.ts";
import { linuxWorld } from "../src/platform/linux/linux-world.ts";
import { TARGET_IQN } from "./target.ts";

const CLOSED_BY_CLIENT = "closed by the initiator";

const [path, port, blockBytes] = process.argv.slice(2);
const { arithmetic } = linuxWorld();
const server = new TargetServer({
  ...bunHost(),
  crc32c: (bytes, seed, start, end) => arithmetic.crc32c(bytes, seed, start, end),
  onEvent(event) {
    const isUsual = event.type === "session-closed" && event.why === CLOSED_BY_CLIENT;
    if ("why" in event && !isUsual) console.error(`${event.type}: ${event.why}`);
  },
});
const device = await FileDevice.open(path, { blockSize: Number(blockBytes), writeCache: true });
const identity = { vendor: "ANTIPODE", product: "Bench", revision: "1", serial: "0001", naa: 0x3000000000000001n };
server.addTarget({ name: TARGET_IQN, luns: [{ lun: 0, device, identity }] });
await server.listen({ host: "127.0.0.1", port: Number(port) });
process.on("SIGTERM", () => process.exit());
