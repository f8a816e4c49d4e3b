#!/usr/bin/env node
/**
 * Makes a fresh clone runnable, and says what it changes: npm's packages, the Bun binary, Debian's packages.
 * `npm start`, `npm run image` and `npm test` run it first, so it uses nothing but Node itself and is done at once, and silent,
 * when nothing is missing.
 *
 *   node setup/setup.mjs start|image|test
 */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { arch, argv, execPath, exit, getuid, platform, versions } from "node:process";
import { fileURLToPath } from "node:url";
import { lockMismatch } from "./lock.mjs";
import { missingPackages, PURPOSES } from "./packages.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MAJOR_MIN = 20;

/** Expected to go wrong on some machine: told in one message with its remedy, without a stack trace. */
class SetUpError extends Error {}

const say = (line) => console.log(`set-up: ${line}`);
const read = (path) => readFileSync(join(root, path), "utf8");

function checkMachine() {
  const nodeMajor = Number.parseInt(versions.node, 10);
  if (nodeMajor < NODE_MAJOR_MIN) {
    throw new SetUpError(`This is Node ${versions.node}. Install Node ${NODE_MAJOR_MIN} or newer and run this again.`);
  }
  if (platform !== "linux" || arch !== "x64") {
    throw new SetUpError(`This is ${platform} on ${arch}. Antipode runs on Linux on x86-64 only: use such a machine.`);
  }
}

/** What this machine's system is called, and whether it is the one that set-up is tested on. */
function operatingSystem() {
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const field = (name) => release.match(new RegExp(`^${name}="?([^"\n]*)"?$`, "m"))?.[1] ?? "";
  return {
    name: field("PRETTY_NAME") || "an unknown Linux",
    tested: field("ID") === "debian" && field("VERSION_ID") === "12",
  };
}

function runOrFail(command, args, remedy) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) {
    const reason = error?.message ?? (signal ? `ended by ${signal}` : `exit code ${status}`);
    throw new SetUpError(`'${command} ${args.join(" ")}' failed (${reason}). ${remedy}`);
  }
}

function installNodePackages() {
  const reason = lockMismatch(root);
  if (reason === undefined) return;
  say(`installing npm packages from package-lock.json (${reason})`);
  runOrFail(
    "npm",
    ["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"],
    "Look at npm's message above; it needs its registry in reach and this folder writable. Then run this again.",
  );
}

/** npm may hold back install scripts; Bun's puts its binary in place, so it is run here where npm did not. */
function makeBunRunnable() {
  const wanted = JSON.parse(read("package.json")).dependencies.bun;
  const version = () => {
    const { status, stdout } = spawnSync(join(root, "node_modules/.bin/bun"), ["--version"], { encoding: "utf8" });
    return status === 0 ? stdout.trim() : undefined;
  };
  if (version() === wanted) return;
  say(`putting Bun ${wanted} in place`);
  runOrFail(
    execPath,
    [join(root, "node_modules/bun/install.js")],
    "Remove the folder node_modules and run this again.",
  );
  const found = version();
  if (found !== wanted) {
    throw new SetUpError(
      `Bun ${wanted} does not run on this machine (${found === undefined ? "it did not start" : `found ${found}`}). ` +
        "Remove the folder node_modules and run this again; Bun needs a processor with AVX2 and glibc 2.27 or newer.",
    );
  }
}

function installSystemPackages(purpose) {
  const missing = missingPackages(purpose);
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name);
  const script = join(root, "setup/install-packages.sh");
  const byHand = `sudo sh ${script} ${names.join(" ")}`;
  const system = operatingSystem();

  const fail = (why) => {
    const required = missing.filter(({ optional }) => !optional);
    if (required.length === 0) {
      for (const { name, without } of missing)
        say(`${name} is not installed (${why}): ${without}. To add it: ${byHand}`);
      return;
    }
    throw new SetUpError(
      `These Debian packages are missing: ${names.join(", ")}, and ${why}. Run this by hand: ${byHand}`,
    );
  };

  if (spawnSync("apt-get", ["--version"]).status !== 0)
    return fail(`${system.name} has no apt-get to install them with`);
  const asRoot = getuid() === 0 ? [] : spawnSync("sudo", ["-n", "true"]).status === 0 ? ["sudo", "-n"] : undefined;
  if (asRoot === undefined) return fail("this user is neither root nor may use sudo without a password");

  if (!system.tested) say(`this is ${system.name}; set-up is tested on Debian 12 only`);
  say(`installing Debian packages${asRoot.length > 0 ? " with sudo" : ""}:`);
  for (const { name, use } of missing) say(`  ${name}: ${use}`);
  const [command, ...args] = [...asRoot, "sh", script, ...names];
  if (spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"] }).status !== 0) {
    return fail("apt-get could not install them (its message is above)");
  }
  say("Debian packages installed; no service was started or enabled");
}

const purpose = argv[2];
try {
  if (!PURPOSES.includes(purpose)) throw new SetUpError(`Usage: node setup/setup.mjs ${PURPOSES.join("|")}`);
  checkMachine();
  installNodePackages();
  makeBunRunnable();
  installSystemPackages(purpose);
} catch (error) {
  if (!(error instanceof SetUpError)) throw error;
  console.error(`set-up: ${error.message}`);
  exit(1);
}
