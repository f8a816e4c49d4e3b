/** Who listens where, on all machines. */

import type { Address, Connection, ConnectionHandlers, Listener } from "../network.ts";
import type { Process } from "./process.ts";

export const ANY_HOSTS: readonly string[] = ["0.0.0.0", "::"];
export const LOOPBACK_HOSTS: readonly string[] = ["127.0.0.1", "localhost", "::1"];

export interface Listening extends Listener {
  readonly process: Process;
  readonly handlers: (connection: Connection) => ConnectionHandlers;
}

export class Listeners {
  readonly #listening = new Set<Listening>();

  add(process: Process, address: Address, handlers: Listening["handlers"]): Listening {
    const listening: Listening = { address, process, handlers, close: () => this.#listening.delete(listening) };
    this.#listening.add(listening);
    return listening;
  }

  /** Whether somebody on the machine stands in the way of a listener at the address. */
  isTaken(machine: string, address: Address): boolean {
    return [...this.#listening].some((one) => one.process.machine === machine && clash(one.address, address));
  }

  /** Who takes a connect from machine `from` to `address`, which is on machine `to`. */
  find(from: string, to: string, address: Address): Listening | undefined {
    return [...this.#listening].find((one) => one.process.machine === to && reaches(one.address, address, from === to));
  }

  /** Nobody on the machine listens any more. */
  drop(machine: string): void {
    for (const one of [...this.#listening]) if (one.process.machine === machine) this.#listening.delete(one);
  }
}

function clash(one: Address, other: Address): boolean {
  if (!("host" in one) || !("host" in other)) return samePath(one, other);
  if (one.port !== other.port) return false;
  return one.host === other.host || ANY_HOSTS.includes(one.host) || ANY_HOSTS.includes(other.host);
}

/** Whether a connect to `address`, of the same machine or another, arrives at a listener at `at`. */
function reaches(at: Address, address: Address, isSameMachine: boolean): boolean {
  if (!("host" in address) || !("host" in at)) return samePath(at, address);
  if (address.port !== at.port) return false;
  if (ANY_HOSTS.includes(at.host)) return true;
  const isThroughLoopback =
    isSameMachine && (LOOPBACK_HOSTS.includes(address.host) || ANY_HOSTS.includes(address.host));
  return LOOPBACK_HOSTS.includes(at.host) === isThroughLoopback;
}

function samePath(one: Address, other: Address): boolean {
  return "path" in one && "path" in other && one.path === other.path;
}
