/**
 * Debian's packages as the image's ingredients: fetched by apt, checked by it, and unpacked side by side in a cache.
 * Nothing is installed on the machine that builds, and no script of a package is run.
 */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { getuid } from "node:process";
import { BuildError, run, runText } from "./run.ts";

/** `depends`: not the package itself is taken, but the one of such a name that it depends on. */
interface Ingredient {
  readonly name: string;
  readonly use: string;
  /** Of what the image takes from it, as an SPDX expression; Debian's record of all of it goes into the manifest too. */
  readonly licence: string;
  readonly depends?: RegExp;
}

/** What is in the image, whole or in part. `use` goes into docs and manifest. */
const INGREDIENTS = {
  kernel: {
    name: "linux-image-amd64",
    depends: /^linux-image-\d\S*-amd64$/,
    licence: "GPL-2.0-only WITH Linux-syscall-note",
    use: "the kernel and its modules",
  },
  busybox: {
    name: "busybox-static",
    licence: "GPL-2.0-only",
    use: "the first process, the shell and the small programs of the boot",
  },
  libc: { name: "libc6", licence: "LGPL-2.1-or-later", use: "the C library, which the antipode binary is linked with" },
  isal: { name: "libisal2", licence: "BSD-3-Clause", use: "ISA-L: checksums and parity at memory speed" },
  time: { name: "openntpd", licence: "ISC", use: "keeps the clock by the time servers of the configuration" },
  rights: {
    name: "util-linux",
    licence: "GPL-2.0-or-later",
    use: "setpriv, which takes from the site process all rights that it does not need",
  },
  capabilities: { name: "libcap-ng0", licence: "LGPL-2.1-or-later", use: "the library of setpriv" },
  smart: { name: "smartmontools", licence: "GPL-2.0-or-later", use: "smartctl: asks drives how they are" },
  selinux: { name: "libselinux1", licence: "libselinux-1.0", use: "a library of smartctl" },
  patterns: { name: "libpcre2-8-0", licence: "BSD-3-Clause", use: "a library of libselinux1" },
  cxx: { name: "libstdc++6", licence: "GPL-3.0-or-later WITH GCC-exception-3.1", use: "smartctl's C++ library" },
  gcc: { name: "libgcc-s1", licence: "GPL-3.0-or-later WITH GCC-exception-3.1", use: "a library of smartctl" },
  gccTexts: {
    name: "gcc-12-base",
    licence: "GPL-3.0-or-later WITH GCC-exception-3.1",
    use: "the licence texts of libstdc++6 and libgcc-s1; nothing of it is in the image",
  },
  ups: {
    name: "nut-client",
    licence: "GPL-2.0-or-later",
    use: "upsc: asks a NUT server how an uninterruptible supply is",
  },
  upsClient: { name: "libupsclient6", licence: "GPL-2.0-or-later", use: "the library of upsc" },
  nss: { name: "libnss3", licence: "MPL-2.0", use: "a library of libupsclient6" },
  nspr: { name: "libnspr4", licence: "MPL-2.0", use: "a library of libnss3" },
  etcd: {
    name: "etcd-server",
    licence: "Apache-2.0 AND BSD-2-Clause AND BSD-3-Clause AND MIT",
    use: "etcd: a register that sites agree on",
  },
  fat: { name: "dosfstools", licence: "GPL-3.0-or-later", use: "checks the EFI system partition at boot" },
  ext4: {
    name: "e2fsck-static",
    licence: "GPL-2.0-only AND LGPL-2.0-only",
    use: "checks the partitions of configuration and logs at boot",
  },
  boot: {
    name: "systemd-boot-efi",
    licence: "LGPL-2.1-or-later",
    use: "the boot loader, and the stub that makes kernel and initramfs one program",
  },
} as const satisfies Record<string, Ingredient>;

export type IngredientName = keyof typeof INGREDIENTS;

export interface FetchedPackage {
  readonly name: string;
  readonly version: string;
  /** The source package and its version, by which Debian names licences and faults. */
  readonly source: string;
  /** Other sources that went into it, where Debian records them. */
  readonly builtUsing: string;
  readonly sha256: string;
  /** Folder that it is unpacked in. */
  readonly root: string;
}

export interface DebianPackage extends FetchedPackage {
  readonly use: string;
  readonly licence: string;
}

export type DebianPackages = Readonly<Record<IngredientName, DebianPackage>>;

/** All that the image is made of. */
export function fetchPackages(cache: string): DebianPackages {
  return fetchIngredients(cache, Object.keys(INGREDIENTS) as IngredientName[]);
}

export function fetchIngredients<Name extends IngredientName>(
  cache: string,
  keys: readonly Name[],
): Readonly<Record<Name, DebianPackage>> {
  const ingredients: readonly Ingredient[] = keys.map((key) => INGREDIENTS[key]);
  const names = ingredients.map(({ name, depends }) => (depends === undefined ? name : dependencyOf(name, depends)));
  const fetched = fetchNamed(cache, names);
  return Object.fromEntries(
    ingredients.map(({ use, licence }, at) => [keys[at], { ...fetched[at], use, licence }]),
  ) as Record<Name, DebianPackage>;
}

/** @returns the packages of these names, in the same order */
export function fetchNamed(cache: string, names: readonly string[]): readonly FetchedPackage[] {
  mkdirSync(cache, { recursive: true });
  const offers = offered(names);
  return names.map((name, at) => fetchPackage(cache, name, offers[at]));
}

function fetchPackage(cache: string, name: string, { file, sha256 }: Offer): FetchedPackage {
  const path = join(cache, file);
  if (!existsSync(path)) run("apt-get", ["download", "-q", name], { cwd: cache });
  const found = new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
  if (found !== sha256) {
    rmSync(path);
    throw new BuildError(`${file} is not what apt offers (SHA-256 ${found}, not ${sha256}). Run this again.`);
  }
  return { ...describe(path), sha256, root: unpack(path) };
}

function dependencyOf(name: string, wanted: RegExp): string {
  const depends = withLists(() => runText("apt-cache", ["depends", "--no-recommends", "--no-suggests", name]));
  const found = Array.from(depends.matchAll(/Depends: (\S+)/g), ([, dependency]) => dependency).find((dependency) =>
    wanted.test(dependency),
  );
  if (found === undefined) throw new BuildError(`${name} depends on no package such as ${wanted.source}`);
  return found;
}

/** The file name and checksum that apt would fetch a package as. */
interface Offer {
  readonly file: string;
  readonly sha256: string;
}

/** Asks for all at once, since apt reads its lists anew each time. */
function offered(names: readonly string[]): readonly Offer[] {
  const lines = withLists(() => runText("apt-get", ["download", "--print-uris", "-q", ...names]));
  const offers = Array.from(lines.matchAll(/^'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})$/gm), ([, file, sha256]) => ({
    file,
    sha256,
  }));
  return names.map((name) => {
    const offer = offers.find(({ file }) => file.startsWith(`${name}_`));
    if (offer === undefined) throw new BuildError(`apt offers no package ${name} with a SHA-256: ${lines.trim()}`);
    return offer;
  });
}

let listsAreFresh = false;

/** A machine whose package lists are missing fetches them once. */
function withLists<T>(ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if (listsAreFresh || !(error instanceof BuildError)) throw error;
    listsAreFresh = true;
    const asRoot = getuid?.() === 0 ? [] : ["sudo", "-n"];
    const [program, ...args] = [...asRoot, "apt-get", "update", "-q"];
    run(program, args);
    return ask();
  }
}

function describe(path: string): Pick<FetchedPackage, "name" | "version" | "source" | "builtUsing"> {
  const field = (name: string) => runText("dpkg-deb", ["-f", path, name]).trim();
  const [name, version, source] = [field("Package"), field("Version"), field("Source")];
  const match = /^(\S+)(?: \((\S+)\))?$/.exec(source);
  const builtUsing = field("Built-Using").replaceAll(/\s+/g, " ");
  return { name, version, source: `${match?.[1] ?? name} ${match?.[2] ?? version}`, builtUsing };
}

/** Under another name until it is whole, so that a build that was broken off leaves nothing half. */
function unpack(path: string): string {
  const root = path.replace(/\.deb$/, "");
  if (existsSync(root)) return root;
  const part = `${root}.part`;
  rmSync(part, { recursive: true, force: true });
  run("dpkg-deb", ["-x", path, part]);
  renameSync(part, root);
  return root;
}
