/** The package alone, over a file: `bun file-server.ts FILE PORT NAME`, where NAME is the target's. Says "up" once it serves. */

import { bunHost, FileDevice } from "../../src/iscsi/bun/index.ts";
import { TargetServer } from "../../src/iscsi/index.ts";

const [path, port, name] = process.argv.slice(2);
const identity = { vendor: "EXAMPLE", product: "File", revision: "1", serial: "0001", naa: 0x3000000000000001n };
const server = new TargetServer(bunHost());
server.addTarget({ name, luns: [{ lun: 0, device: await FileDevice.open(path, { blockSize: 512 }), identity }] });
await server.listen({ host: "127.0.0.1", port: Number(port) });
console.log("up");
