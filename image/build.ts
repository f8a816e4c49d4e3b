/**
 * Builds the firmware: `image/out/antipode-VERSION.img` to flash, its kernel image for updates, and a manifest of all
 * that is in them. The same sources, Debian packages and npm packages make the same bytes.
 *
 *   bun image/build.ts [--out FOLDER] [--fast]
 *
 * --fast compresses less, for tests.
 */

import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { compileBinary } from "./binary.ts";
import { fetchPackages } from "./debian.ts";
import { makeDisk } from "./disk.ts";
import { PRODUCT, UKI_NAME, VERSION } from "./identity.ts";
import { compress, initramfsTree } from "./initramfs.ts";
import { manifest } from "./manifest.ts";
import { listed, selectModules } from "./modules.ts";
import { BuildError } from "./run.ts";
import { makeUki } from "./uki.ts";

const root = resolve(import.meta.dirname, "..");
const LEVEL_SHIPPED = 19;
const LEVEL_FAST = 3;

const say = (line: string) => console.log(`image: ${line}`);
const MB = (path: string) => `${(statSync(path).size / 1e6).toFixed(1)} MB`;

function build(out: string, level: number): void {
  const work = join(out, "work");
  mkdirSync(work, { recursive: true });
  say("fetching Debian's packages");
  const packages = fetchPackages(join(root, "image/cache"));
  for (const { name, version } of Object.values(packages)) say(`  ${name} ${version}`);

  say("compiling antipode");
  const binary = compileBinary(root, join(work, "binary"));

  say("putting the initramfs together");
  const wanted = listed(readFileSync(join(root, "image/modules.txt"), "utf8"));
  const modules = selectModules(packages.kernel.root, wanted, join(work, "modules"));
  const tree = initramfsTree({ packages, modules, binary, overlay: join(root, "image/root") });
  const initramfs = compress(tree.archive(), level);

  const commandLine = listed(readFileSync(join(root, "image/cmdline.txt"), "utf8")).join(" ");
  const uki = join(out, UKI_NAME);
  makeUki({ bootRoot: packages.boot.root, kernelRoot: packages.kernel.root, commandLine, initramfs }, work, uki);
  say(`${uki}: ${MB(uki)}`);

  const disk = join(out, `${PRODUCT}-${VERSION}.img`);
  makeDisk({ uki, bootRoot: packages.boot.root }, join(work, "disk"), disk);
  say(`${disk}: ${MB(disk)}`);

  const sbom = join(out, `${PRODUCT}-${VERSION}.spdx.json`);
  writeFileSync(sbom, `${JSON.stringify(manifest(root, packages, [uki, disk]), undefined, 2)}\n`);
  say(`${sbom}: what is in them`);
  rmSync(work, { recursive: true });
}

const { values } = parseArgs({
  options: { out: { type: "string", default: join(root, "image/out") }, fast: { type: "boolean", default: false } },
});
try {
  build(resolve(values.out), values.fast ? LEVEL_FAST : LEVEL_SHIPPED);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`image: ${error.message}`);
  process.exitCode = 1;
}
