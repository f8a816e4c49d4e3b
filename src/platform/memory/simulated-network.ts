/**
 * The network that all machines of a universe share: names, listeners, connections, and the wires between each two
 * machines, which tests slow, clog and cut. A host is a machine's name or any name mapped to it.
 */

import { assert } from "../../base/assert.ts";
import { OperatingError } from "../../base/operating-error.ts";
import type { Millis } from "../../base/units.ts";
import { type Address, type Connection, formatAddress, type Listener, type Network } from "../network.ts";
import { ANY_HOSTS, Listeners, type Listening, LOOPBACK_HOSTS } from "./listeners.ts";
import type { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { type ConnectionContext, SimulatedConnection } from "./simulated-connection.ts";
import type { Verdict, Victim } from "./verdict.ts";
import { type LinkSettings, Wire } from "./wire.ts";

export interface NetworkSettings extends LinkSettings {
  /** Bytes that a connection takes before the peer has acknowledged them. */
  readonly sendBuffer: number;
  /** Bytes that a peer takes before its process has read them. */
  readonly receiveBuffer: number;
  /** Milliseconds until a connect that nothing answers fails. */
  readonly connectTimeout: number;
  /** Milliseconds that a connection waits, its direction or the other cut, for the acknowledgement of what it sent. */
  readonly retransmitTimeout: number;
}

export const NETWORK_SETTINGS: NetworkSettings = {
  delay: [0.1, 0.5],
  bytesPerSecond: Number.POSITIVE_INFINITY,
  segmentBytes: [1, 64 * 1024],
  sendBuffer: 256 * 1024,
  receiveBuffer: 256 * 1024,
  connectTimeout: 130_000,
  retransmitTimeout: 900_000,
};

const LOOPBACK: LinkSettings = {
  delay: [0.01, 0.05],
  bytesPerSecond: Number.POSITIVE_INFINITY,
  segmentBytes: [1, 64 * 1024],
};
/** Milliseconds until a machine without power counts as not there. */
const HOST_UNREACHABLE_MILLIS = 3000;
const EPHEMERAL_PORT_MIN = 49152;
const PORT_MAX = 65535;

/** What the network needs to know of a machine. */
export interface Host extends Victim {
  readonly name: string;
  /** Its process, unless it has ended. */
  readonly process: Process | undefined;
  /** Whether it has power: a machine that has answers even when no process runs there. */
  readonly powered: boolean;
}

type Handlers = Listening["handlers"];

export class SimulatedNetwork implements ConnectionContext {
  /**
   * Called for each `write` to a connection with the names of both machines and the bytes offered, before any is
   * taken; decides whether the sender survives it.
   */
  onSend: (from: string, to: string, bytes: Uint8Array) => Verdict = () => "continue";

  #settings = NETWORK_SETTINGS;
  readonly #random: SeededRandom;
  readonly #hosts = new Map<string, Host>();
  /** Machines by the names under which they are reached. */
  readonly #names = new Map<string, string>();
  readonly #wires = new Map<string, Wire>();
  readonly #listeners = new Listeners();
  readonly #connections = new Set<SimulatedConnection>();
  #ephemeral = EPHEMERAL_PORT_MIN;

  constructor(private readonly scheduler: Scheduler) {
    this.#random = scheduler.random.fork("network");
  }

  get sendBuffer(): number {
    return this.#settings.sendBuffer;
  }

  get receiveBuffer(): number {
    return this.#settings.receiveBuffer;
  }

  get connectTimeout(): number {
    return this.#settings.connectTimeout;
  }

  get retransmitTimeout(): number {
    return this.#settings.retransmitTimeout;
  }

  /** Connections that at least one side still uses, each counted at both ends. */
  get connections(): number {
    return this.#connections.size;
  }

  // What tests call.

  /** Changes the settings of everything between machines; those of single links stay. */
  configure(settings: Partial<NetworkSettings>): void {
    this.#settings = { ...this.#settings, ...settings };
    for (const wire of this.#wires.values()) if (wire.from !== wire.to) wire.configure(settings);
  }

  /** Changes both directions between two machines. */
  link(a: string, b: string, settings: Partial<LinkSettings>): void {
    this.linkOneWay(a, b, settings);
    this.linkOneWay(b, a, settings);
  }

  linkOneWay(from: string, to: string, settings: Partial<LinkSettings>): void {
    this.wire(from, to).configure(settings);
  }

  /** Those of the direction from one machine to another. */
  settingsBetween(from: string, to: string): LinkSettings {
    return this.wire(from, to).settings;
  }

  /** Nothing gets through between the two, in either direction, until `heal`. Connections stay and wait. */
  partition(a: string, b: string): void {
    this.partitionOneWay(a, b);
    this.partitionOneWay(b, a);
  }

  partitionOneWay(from: string, to: string): void {
    this.wire(from, to).cut();
    for (const connection of this.#connectionsBetween(from, to)) connection.onSilence();
  }

  /** Cuts a machine off from all others that there are. */
  isolate(machine: string): void {
    for (const other of this.#hosts.keys()) if (other !== machine) this.partition(machine, other);
  }

  /**
   * Mends both directions between two machines; between one and all others; or everything: cuts, clogs, bit flips.
   */
  heal(a?: string, b?: string): void {
    for (const wire of this.#wires.values()) {
      const ends = [wire.from, wire.to];
      if ((a === undefined || ends.includes(a)) && (b === undefined || ends.includes(b))) wire.heal();
    }
  }

  /** Holds everything from one machine to another up for `duration` milliseconds from now. */
  clog(from: string, to: string, duration: Millis | number): void {
    this.wire(from, to).clog(duration);
  }

  /** From now on each segment from one machine to another has so great a chance to arrive with one bit flipped. */
  flipBits(from: string, to: string, probability: number): void {
    this.wire(from, to).flipBits(probability);
  }

  /** Segments between two machines in which a bit was flipped so far, either way. */
  damaged(a: string, b: string): number {
    return this.wire(a, b).damaged + this.wire(b, a).damaged;
  }

  /**
   * Ends every connection between two machines, as seen by both of them a delay from now; or as seen by the machine
   * `a` alone, so that the other finds out when it sends something.
   */
  resetConnections(a: string, b: string, seenBy: "both" | "one-sided" = "both"): void {
    for (const connection of this.#connectionsBetween(a, b)) {
      if (seenBy === "both" || connection.machine === a) connection.resetFromOutside();
    }
  }

  /** Makes a machine known under another host name as well. */
  name(host: string, machine: string): void {
    this.#names.set(host, machine);
  }

  // What machines call.

  addHost(host: Host): void {
    this.#hosts.set(host.name, host);
    this.#names.set(host.name, host.name);
  }

  /** The network as one process sees it. */
  of(process: Process): Network {
    return {
      connect: (address, handlers, signal) => this.#connect(process, address, handlers, signal),
      listen: (address, handlers) => this.#listen(process, address, handlers),
    };
  }

  /** The process ended, its machine did not: the kernel closes what it had. */
  processEnded(process: Process): void {
    this.#listeners.drop(process.machine);
    for (const connection of [...this.#connections]) {
      if (connection.process === process) connection.closeBehindProcess();
    }
  }

  /** @param noticeDelay see `SimulatedConnection.powerCut` */
  powerCut(machine: string, noticeDelay: number | undefined): void {
    this.#listeners.drop(machine);
    for (const connection of [...this.#connections]) {
      if (connection.machine === machine) connection.powerCut(noticeDelay);
    }
  }

  victim(machine: string): Victim {
    return this.#host(machine);
  }

  isPowered(machine: string): boolean {
    return this.#host(machine).powered;
  }

  ended(connection: SimulatedConnection): void {
    this.#connections.delete(connection);
  }

  wire(from: string, to: string): Wire {
    const key = `${from} ${to}`;
    let wire = this.#wires.get(key);
    if (wire === undefined) {
      wire = new Wire(this.scheduler, from, to, from === to ? LOOPBACK : this.#settings);
      this.#wires.set(key, wire);
    }
    return wire;
  }

  #host(machine: string): Host {
    const host = this.#hosts.get(machine);
    assert(host !== undefined, `there is no machine ${machine}`);
    return host;
  }

  /** The machine that a host name means to `from`. */
  #resolve(host: string, from: string): string | undefined {
    if (LOOPBACK_HOSTS.includes(host) || ANY_HOSTS.includes(host)) return from;
    return this.#names.get(host);
  }

  #listen(process: Process, wanted: Address, handlers: Handlers): Promise<Listener> {
    return new Promise((resolve, reject) => {
      process.schedule(0, `listen ${formatAddress(wanted)}`, () => {
        if ("host" in wanted && this.#resolve(wanted.host, process.machine) !== process.machine) {
          return reject(
            new OperatingError(
              "network.denied",
              `Cannot listen on ${formatAddress(wanted)}: ${wanted.host} is not an address of this machine.`,
              "Name one of its addresses, or 0.0.0.0.",
            ),
          );
        }
        const address = this.#withPort(process.machine, wanted);
        if (this.#listeners.isTaken(process.machine, address)) {
          return reject(
            new OperatingError(
              "network.busy",
              `Address ${formatAddress(address)} is in use.`,
              "Stop what listens there, or choose another port.",
            ),
          );
        }
        resolve(this.#listeners.add(process, address, handlers));
      });
    });
  }

  #withPort(machine: string, wanted: Address): Address {
    if (!("host" in wanted) || wanted.port !== 0) return wanted;
    let address = { host: wanted.host, port: this.#nextPort() };
    while (this.#listeners.isTaken(machine, address)) {
      address = { host: wanted.host, port: this.#nextPort() };
    }
    return address;
  }

  #nextPort(): number {
    const port = this.#ephemeral;
    this.#ephemeral = port === PORT_MAX ? EPHEMERAL_PORT_MIN : port + 1;
    return port;
  }

  #connect(process: Process, address: Address, handlers: Handlers, signal?: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      let waiting = true;
      let client: SimulatedConnection | undefined;
      const onAbort = () => fail("did not answer in time", signal?.reason);
      const settle = () => {
        waiting = false;
        signal?.removeEventListener("abort", onAbort);
        this.scheduler.cancel(timeout);
      };
      const fail = (why: string, cause?: unknown) => {
        if (!waiting || process.ended) return;
        settle();
        client?.giveUp();
        reject(
          new OperatingError(
            "network.unreachable",
            `Cannot connect to ${formatAddress(address)}: it ${why}.`,
            "Check the address, and that the peer runs and can be reached.",
            { cause },
          ),
        );
      };
      const failLater = (delay: number, why: string) => process.schedule(delay, "connect failed", () => fail(why));
      const timeout = failLater(this.#settings.connectTimeout, "did not answer");
      if (signal?.aborted) return onAbort();
      signal?.addEventListener("abort", onAbort, { once: true });

      const from = process.machine;
      const to = "host" in address ? this.#resolve(address.host, from) : from;
      if (to === undefined || !this.#hosts.has(to)) {
        failLater(1, "is not a known host");
        return;
      }
      const there = this.wire(from, to);
      const back = this.wire(to, from);
      there.carry(there.transit(0), "connect", () => {
        if (process.ended || !waiting) return;
        if (!this.#host(to).powered) {
          failLater(HOST_UNREACHABLE_MILLIS, "is down");
          return;
        }
        const listener = this.#listeners.find(from, to, address);
        if (listener === undefined) {
          back.carry(back.transit(0), "refused", () => failLater(0, "refused the connection"));
          return;
        }
        const clientAddress = "host" in address ? formatAddress({ host: from, port: this.#nextPort() }) : address.path;
        const made = this.#end(process, clientAddress, formatAddress(address), there);
        const server = this.#end(listener.process, formatAddress(address), clientAddress, back);
        made.peer = server;
        server.peer = made;
        made.onEstablished = (established) => {
          if (!established) return void failLater(0, "closed the connection");
          process.deliver("connected", () => {
            if (!waiting) return;
            settle();
            made.start(handlers(made));
            resolve(made);
          });
        };
        client = made;
        server.sendEstablished();
        listener.process.schedule(0, "accept", () => server.start(listener.handlers(server)));
      });
    });
  }

  #end(process: Process, local: string, remote: string, wire: Wire): SimulatedConnection {
    const random = this.#random.fork(`${local} ${remote}`);
    const connection = new SimulatedConnection(process, local, remote, wire, random, this);
    this.#connections.add(connection);
    return connection;
  }

  /** Both ends of each. */
  #connectionsBetween(a: string, b: string): SimulatedConnection[] {
    return [...this.#connections].filter((connection) => {
      const ends = [connection.machine, connection.peer?.machine];
      return (ends[0] === a && ends[1] === b) || (ends[0] === b && ends[1] === a);
    });
  }
}
