import { BLOCK_BYTES } from "../../base/units.ts";
import { arithmeticCases } from "../arithmetic.cases.ts";
import { driveCases, driveFileCases } from "../drive.cases.ts";
import { networkCases } from "../network.cases.ts";
import type { Address } from "../network.ts";
import { plainArithmetic } from "../plain-arithmetic.ts";
import { MemoryUniverse } from "./memory-world.ts";

let seed = 0;

async function driveFixture() {
  const universe = new MemoryUniverse(++seed);
  const world = universe.world("denver");
  let paths = 0;
  return {
    world,
    async drive(blocks: number) {
      const path = `/dev/drive-${++paths}`;
      const drive = universe.addDrive("denver", path, blocks * BLOCK_BYTES);
      const content = new Uint8Array(blocks * BLOCK_BYTES);
      universe.random.fill(content);
      drive.overwrite(0, content);
      return path;
    },
    vacantPath: () => `/var/drive-${++paths}`,
    run: (work: () => Promise<void>) => universe.result(work()),
  };
}

/** Both sides of a connection, on machines of their own or on the same one. */
async function networkFixture(client: string, free: Address, silent: Address) {
  const universe = new MemoryUniverse(++seed);
  return {
    server: universe.world("boulder").network,
    client: universe.world(client).network,
    free,
    silent,
    run: (work: () => Promise<void>) => universe.result(work()),
  };
}

const boulder = (port: number) => ({ host: "boulder", port });
networkCases("simulated TCP", () => networkFixture("denver", boulder(0), boulder(1)));
networkCases("simulated Unix sockets", () => networkFixture("boulder", { path: "/run/site" }, { path: "/run/nobody" }));
driveCases("simulated", driveFixture);
driveFileCases("simulated", driveFixture);
arithmeticCases("plain", plainArithmetic, new MemoryUniverse(0).world("denver").memory);
