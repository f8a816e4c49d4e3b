/**
 * LIO, the target that is in Linux itself, over one file (its fileio backend), set up by nothing but its files in
 * configfs. Only for a machine that is one's own whole: the names that it takes there are the machine's.
 *
 * With a write cache: a write is acknowledged once it is in the page cache, and durable after the initiator's flush.
 */

import { existsSync, mkdirSync, rmdirSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { BenchFailure } from "./failure.ts";
import { lunUrl, TARGET_IQN, type Target } from "./target.ts";
import { writeBack } from "./volume-file.ts";
import { freePorts } from "./workspace.ts";

export const LIO = "LIO";
const CONFIG = "/sys/kernel/config/target";
const STORE_GROUP = `${CONFIG}/core/fileio_0`;
const STORE = `${STORE_GROUP}/volume`;
const FABRIC = `${CONFIG}/iscsi`;
const IQN = `${FABRIC}/${TARGET_IQN}`;
const PORTALS = `${IQN}/tpgt_1`;
const LUN = 0;
const LUN_FOLDER = `${PORTALS}/lun/lun_${LUN}`;
const LUN_LINK = `${LUN_FOLDER}/volume`;

export class LioTarget implements Target {
  readonly name = LIO;
  readonly readUrl: string;
  readonly writeUrl: string;
  /** It has threads of the kernel, which come and go with the connections. */
  readonly pids: readonly number[] = [];
  readonly #portal: string;
  readonly #file: string;

  private constructor(port: number, file: string) {
    this.#portal = portalFolder(port);
    this.#file = file;
    this.readUrl = lunUrl(port, LUN);
    this.writeUrl = this.readUrl;
  }

  static async start(file: string, blockBytes: number): Promise<LioTarget> {
    if (!existsSync(CONFIG)) throw new BenchFailure(`no ${CONFIG}: the module target_core_mod is not loaded.`);
    const [port] = await freePorts(1);
    make(STORE_GROUP, STORE);
    set(`${STORE}/control`, `fd_dev_name=${file},fd_dev_size=${statSync(file).size},fd_buffered_io=1`);
    set(`${STORE}/enable`, "1");
    set(`${STORE}/attrib/block_size`, `${blockBytes}`);

    make(FABRIC, IQN, PORTALS, LUN_FOLDER);
    symlinkSync(STORE, LUN_LINK);
    // Whoever reaches it may log in and write, as with the other targets.
    set(`${PORTALS}/attrib/authentication`, "0");
    set(`${PORTALS}/attrib/generate_node_acls`, "1");
    set(`${PORTALS}/attrib/demo_mode_write_protect`, "0");
    // It would make checksums where a client offers them; the others are not asked to.
    set(`${PORTALS}/param/HeaderDigest`, "None");
    set(`${PORTALS}/param/DataDigest`, "None");
    make(portalFolder(port));
    set(`${PORTALS}/enable`, "1");
    return new LioTarget(port, file);
  }

  async settle(): Promise<void> {
    writeBack(this.#file);
  }

  /** Takes away what `start` made, the last first. */
  async stop(): Promise<void> {
    set(`${PORTALS}/enable`, "0");
    unlinkSync(LUN_LINK);
    for (const folder of [this.#portal, LUN_FOLDER, PORTALS, IQN, FABRIC, STORE, STORE_GROUP]) rmdirSync(folder);
  }
}

function portalFolder(port: number): string {
  return `${PORTALS}/np/127.0.0.1:${port}`;
}

function make(...folders: readonly string[]): void {
  for (const folder of folders) attempt(`mkdir ${folder}`, () => mkdirSync(folder));
}

function set(file: string, value: string): void {
  attempt(`${value} into ${file}`, () => writeFileSync(file, value));
}

function attempt(what: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new BenchFailure(`LIO refuses ${what}: ${error instanceof Error ? error.message : error}`);
  }
}
