/**
 * Builds the firmware: `image/out/antipode-VERSION.img` to flash, its kernel image for updates, and a manifest of all
 * that is in them. The same sources, Debian packages and npm packages make the same bytes.
 *
 *   bun image/build.ts [--out FOLDER] [--fast] [--key FILE] [--trust FILE]
 *     [--secure-boot-key FILE --secure-boot-certificate FILE]
 *
 * --fast compresses less, for tests. --key signs an update file with that private key; --trust names the public keys
 * that the image believes, which are otherwise the one that belongs to --key. With a key and certificate for Secure Boot the
 * boot loader and the kernel image are signed, and then differ from build to build.
 */

import { createPublicKey } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { compileBinary } from "./binary.ts";
import { fetchPackages } from "./debian.ts";
import { makeDisk } from "./disk.ts";
import { PRODUCT, UKI_NAME, UPDATE_NAME, VERSION } from "./identity.ts";
import { compress, initramfsTree } from "./initramfs.ts";
import { manifest } from "./manifest.ts";
import { listed, selectModules } from "./modules.ts";
import { BuildError, run } from "./run.ts";
import { type SecureBootKeys, secureBootKeys, signProgram } from "./secure-boot.ts";
import { makeUki } from "./uki.ts";

const root = resolve(import.meta.dirname, "..");
const LEVEL_SHIPPED = 19;
const LEVEL_FAST = 3;

const say = (line: string) => console.log(`image: ${line}`);
const MB = (path: string) => `${(statSync(path).size / 1e6).toFixed(1)} MB`;

interface Options {
  readonly out: string;
  /** Of compression. */
  readonly level: number;
  /** Files in PEM. */
  readonly key?: string;
  readonly trust?: string;
  readonly secureBoot?: SecureBootKeys;
}

function build({ out, level, key, trust, secureBoot }: Options): void {
  const trusted = trustedKeys(key, trust);
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
  const tree = initramfsTree({ packages, modules, binary, overlay: join(root, "image/root"), trusted });
  const initramfs = compress(tree.archive(), level);

  const commandLine = listed(readFileSync(join(root, "image/cmdline.txt"), "utf8")).join(" ");
  const uki = join(out, UKI_NAME);
  const osRelease = run(binary, ["firmware", "os-release"]);
  const parts = { bootRoot: packages.boot.root, kernelRoot: packages.kernel.root, osRelease, commandLine, initramfs };
  makeUki(parts, work, uki);
  const packagedLoader = join(packages.boot.root, "usr/lib/systemd/boot/efi/systemd-bootx64.efi");
  const loader = secureBoot === undefined ? packagedLoader : join(work, "loader.efi");
  if (secureBoot !== undefined) {
    signProgram(secureBoot, uki, uki);
    signProgram(secureBoot, packagedLoader, loader);
    say("kernel image and boot loader: signed for Secure Boot");
  }
  say(`${uki}: ${MB(uki)}`);

  const disk = join(out, `${PRODUCT}-${VERSION}.img`);
  makeDisk({ uki, loader }, join(work, "disk"), disk);
  say(`${disk}: ${MB(disk)}`);

  const update = join(out, UPDATE_NAME);
  rmSync(update, { force: true });
  if (key !== undefined) {
    run(binary, ["firmware", "sign", uki, "--key", resolve(key), "--into", update]);
    say(`${update}: signed`);
  }

  const built = key === undefined ? [uki, disk] : [uki, disk, update];
  const sbom = join(out, `${PRODUCT}-${VERSION}.spdx.json`);
  writeFileSync(sbom, `${JSON.stringify(manifest(root, packages, built), undefined, 2)}\n`);
  say(`${sbom}: what is in them`);
  rmSync(work, { recursive: true });
}

/** @returns the public keys that the image gets, in PEM; undefined where none was given */
function trustedKeys(key: string | undefined, trust: string | undefined): string | undefined {
  const file = trust ?? key;
  if (file === undefined) return undefined;
  try {
    const pem = readFileSync(file, "utf8");
    return trust === undefined ? createPublicKey(pem).export({ type: "spki", format: "pem" }).toString() : pem;
  } catch (error) {
    throw new BuildError(`${file} has no key: ${error instanceof Error ? error.message : error}`);
  }
}

const { values } = parseArgs({
  options: {
    out: { type: "string", default: join(root, "image/out") },
    fast: { type: "boolean", default: false },
    key: { type: "string" },
    trust: { type: "string" },
    "secure-boot-key": { type: "string" },
    "secure-boot-certificate": { type: "string" },
  },
});
try {
  const { key, trust } = values;
  const secureBoot = secureBootKeys(values["secure-boot-key"], values["secure-boot-certificate"]);
  build({ out: resolve(values.out), level: values.fast ? LEVEL_FAST : LEVEL_SHIPPED, key, trust, secureBoot });
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`image: ${error.message}`);
  process.exitCode = 1;
}
