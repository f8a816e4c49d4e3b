/**
 * Requests of any content and depth through an initiator that nobody here wrote: libiscsi in `qemu-nbd`, which is
 * asked over NBD on a Unix socket. It logs in again by itself when the target comes back, and a request that was
 * under way goes on then, as with any SAN host.
 *
 * NBD here is the fixed newstyle handshake and simple replies of the NBD protocol document (doc/proto.md).
 */

import type { ChildProcess } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { bound, until } from "./harness.ts";

/** The requests that `qemu-nbd` takes from one client at a time. */
export const DEPTH_MAX = 16;

const HANDSHAKE_MAGIC = 0x4e42444d41474943n; // "NBDMAGIC"
const OPTION_MAGIC = 0x49484156454f5054n; // "IHAVEOPT"
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
/** NBD_FLAG_C_FIXED_NEWSTYLE and NBD_FLAG_C_NO_ZEROES. */
const CLIENT_FLAGS = 3;
const OPTION_EXPORT_NAME = 1;
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3 } as const;
const HANDSHAKE_BYTES = 18;
/** Size and flags of the export. */
const EXPORT_BYTES = 10;
const REPLY_BYTES = 16;
const START_DEADLINE_MS = 60_000;

interface Waiting {
  readonly bytes: number;
  readonly resolve: (data: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

const NOTHING = new Uint8Array(0);

export class NbdInitiator {
  /** Size of the LUN. */
  readonly bytes: number;
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #path: string;
  readonly #waiting = new Map<bigint, Waiting>();
  #received: Buffer;
  #next = 0n;

  private constructor(child: ChildProcess, socket: Socket, path: string, handshake: Handshake) {
    this.#child = child;
    this.#socket = socket;
    this.#path = path;
    this.bytes = handshake.bytes;
    this.#received = handshake.rest;
    socket.on("data", (data: Buffer) => this.#receive(data));
    socket.once("close", () => this.#fail(new Error(`qemu-nbd went away\n${this.#log()}`)));
  }

  /** @param path of the Unix socket that is made; a log stands beside it */
  static async start(url: string, path: string): Promise<NbdInitiator> {
    const log = openSync(`${path}.log`, "a");
    const args = ["--persistent", "--format=raw", "--cache=none", "--discard=unmap", `--socket=${path}`, url];
    const child = bound("qemu-nbd", args, ["ignore", log, log]);
    closeSync(log);
    try {
      await until("qemu-nbd has logged in and listens", START_DEADLINE_MS, () => {
        if (child.exitCode !== null) throw new Error(`qemu-nbd ended\n${readFileSync(`${path}.log`, "utf8")}`);
        return existsSync(path);
      });
      const socket = connect(path);
      return new NbdInitiator(child, socket, path, await shakeHands(socket));
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  /** Requests without an answer. */
  get inFlight(): number {
    return this.#waiting.size;
  }

  read(offset: number, bytes: number): Promise<Uint8Array> {
    return this.#request(COMMAND.read, offset, bytes, NOTHING);
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#request(COMMAND.write, offset, data.length, data);
  }

  async flush(): Promise<void> {
    await this.#request(COMMAND.flush, 0, 0, NOTHING);
  }

  /** Ends the initiator; what has no answer yet is rejected. */
  async close(): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) resolve();
      else this.#child.once("exit", () => resolve());
    });
    this.#socket.destroy();
    this.#child.kill("SIGKILL");
    await ended;
    rmSync(this.#path, { force: true });
  }

  #request(command: number, offset: number, bytes: number, data: Uint8Array): Promise<Uint8Array> {
    if (this.#waiting.size >= DEPTH_MAX) throw new Error(`more than ${DEPTH_MAX} requests at a time`);
    const handle = this.#next++;
    const head = Buffer.alloc(28);
    head.writeUInt32BE(REQUEST_MAGIC, 0);
    head.writeUInt16BE(command, 6);
    head.writeBigUInt64BE(handle, 8);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(bytes, 24);
    return new Promise((resolve, reject) => {
      this.#waiting.set(handle, { bytes: command === COMMAND.read ? bytes : 0, resolve, reject });
      this.#socket.write(data.length === 0 ? head : Buffer.concat([head, data]));
    });
  }

  #receive(data: Buffer): void {
    this.#received = this.#received.length === 0 ? data : Buffer.concat([this.#received, data]);
    while (this.#received.length >= REPLY_BYTES && this.#takeReply()) {}
  }

  /** @returns false where the next reply is not whole yet, or is none */
  #takeReply(): boolean {
    const error = this.#received.readUInt32BE(4);
    const handle = this.#received.readBigUInt64BE(8);
    const waiting = this.#waiting.get(handle);
    if (this.#received.readUInt32BE(0) !== REPLY_MAGIC || waiting === undefined) {
      this.#fail(new Error("qemu-nbd sent what is no reply to a request"));
      return false;
    }
    const end = REPLY_BYTES + (error === 0 ? waiting.bytes : 0);
    if (this.#received.length < end) return false;
    this.#waiting.delete(handle);
    const answer = this.#received.subarray(REPLY_BYTES, end);
    this.#received = this.#received.subarray(end);
    if (error === 0) waiting.resolve(answer);
    else waiting.reject(new Error(`the LUN failed a request with NBD error ${error}\n${this.#log()}`));
    return true;
  }

  #log(): string {
    return readFileSync(`${this.#path}.log`, "utf8");
  }

  #fail(error: Error): void {
    this.#socket.destroy();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

interface Handshake {
  readonly bytes: number;
  /** What came after it. */
  readonly rest: Buffer;
}

function shakeHands(socket: Socket): Promise<Handshake> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    let greeted = false;
    const fail = (error: Error) => reject(error);
    const closed = () => reject(new Error("qemu-nbd closed the connection during the handshake"));
    const take = (data: Buffer) => {
      received = Buffer.concat([received, data]);
      if (!greeted && received.length >= HANDSHAKE_BYTES) {
        if (received.readBigUInt64BE(0) !== HANDSHAKE_MAGIC || received.readBigUInt64BE(8) !== OPTION_MAGIC) {
          return reject(new Error("qemu-nbd does not greet as NBD does"));
        }
        greeted = true;
        received = received.subarray(HANDSHAKE_BYTES);
        const answer = Buffer.alloc(20);
        answer.writeUInt32BE(CLIENT_FLAGS, 0);
        answer.writeBigUInt64BE(OPTION_MAGIC, 4);
        answer.writeUInt32BE(OPTION_EXPORT_NAME, 12);
        socket.write(answer);
      }
      if (!greeted || received.length < EXPORT_BYTES) return;
      socket.off("data", take).off("error", fail).off("close", closed);
      resolve({ bytes: Number(received.readBigUInt64BE(0)), rest: received.subarray(EXPORT_BYTES) });
    };
    socket.on("data", take).once("error", fail).once("close", closed);
  });
}
