/**
 * The package alone, over a file with a log of atomic writes beside it: `bun file-server.ts FILE PORT NAME [OPTION...]`, where NAME
 * is the target's, and each OPTION a property of its LUN that is true: `readOnly`, `removable`. Says "up" once it serves.
 */

import { bunHost, FileDevice } from "../../src/iscsi/bun/index.ts";
import { TargetServer } from "../../src/iscsi/index.ts";

const [path, port, name, ...options] = process.argv.slice(2);
const identity = { vendor: "EXAMPLE", product: "File", revision: "1", serial: "0001", naa: 0x3000000000000001n };
const server = new TargetServer(bunHost());
const device = await FileDevice.open(path, { blockSize: 512, atomicLog: `${path}.log` });
const properties = Object.fromEntries(options.map((option) => [option, true]));
server.addTarget({ name, luns: [{ lun: 0, device, identity, ...properties }] });
await server.listen({ host: "127.0.0.1", port: Number(port) });
console.log("up");
