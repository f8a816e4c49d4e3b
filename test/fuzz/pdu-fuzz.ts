/** Attackers on one target and a bystander on another, in one server: see attacker.ts and bystander.ts. */

import { type Bench, bench } from "../../src/iscsi/testing/initiator.ts";
import { RamDevice } from "../../src/iscsi/testing/world.ts";
import { SeededRandom } from "../../src/platform/memory/seeded-random.ts";
import { Attacker } from "./attacker.ts";
import { Bystander } from "./bystander.ts";

const ATTACKERS = 4;
const VOLUME_BLOCKS = 256;
/** Longer than a session lives that answers no probe. */
const ABANDONED_MILLIS = 10 * 60_000;
const STEP_MILLIS = 5_000;

export class PduFuzz {
  sent = 0;
  logins = 0;
  readonly #random: SeededRandom;
  readonly #world: Bench;
  readonly #bystander: Bystander;
  readonly #attackers: (Attacker | undefined)[] = new Array(ATTACKERS).fill(undefined);
  /** Those whose connection has not been closed on both ends. */
  readonly #connected = new Set<Attacker>();

  constructor(readonly seed: string) {
    this.#random = new SeededRandom(seed);
    const device = new RamDevice(VOLUME_BLOCKS);
    device.overwritesInPlace = true;
    device.atomicBlocksMax = 8;
    this.#world = bench({ device });
    this.#bystander = new Bystander(this.#world, this.#random.fork("bystander"));
  }

  /** What the bystander was served meanwhile. */
  get served(): number {
    return this.#bystander.requests;
  }

  /** Throws at the first thing that is wrong, and says how to see it again. */
  async run(pdus: number): Promise<void> {
    try {
      await this.#bystander.login();
      while (this.sent < pdus) await this.#round();
      await this.#end();
    } catch (error) {
      const what = error instanceof Error ? error.message : error;
      throw new Error(`seed ${this.seed}, after ${this.sent} PDUs: ${what}`, { cause: error });
    }
  }

  async #round(): Promise<void> {
    const random = this.#random;
    await this.#bystander.begin();
    for (let left = 1 + random.below(6); left > 0; left--) await this.#attack(random.below(ATTACKERS));
    await this.#bystander.finish();
    this.#reap();
    if (!random.chance(0.01)) return;
    this.#world.timers.advance(STEP_MILLIS);
    await this.#world.timers.turn();
    await this.#bystander.idle();
  }

  async #attack(place: number): Promise<void> {
    const random = this.#random;
    let attacker = this.#attackers[place];
    if (attacker?.open && !random.chance(0.01)) {
      this.sent += await attacker.speak();
      return;
    }
    // It goes away, be it without saying so.
    if (attacker?.open && random.chance(0.5)) this.#close(attacker);
    const isid = 0x80000000 + (random.chance(0.8) ? place : random.below(8));
    attacker = new Attacker(this.#world, random.fork(`${this.logins++}`), "iqn.2026-11.example.attacker:host", isid);
    this.#attackers[place] = attacker;
    this.#connected.add(attacker);
    this.sent += await attacker.login();
  }

  #close(attacker: Attacker): void {
    this.#connected.delete(attacker);
    attacker.initiator.connection.onClose();
  }

  /** As a transport does: what the target closed is closed. */
  #reap(): void {
    for (const attacker of this.#connected) if (!attacker.open) this.#close(attacker);
  }

  /** Who is never heard of again is forgotten, with all that was kept for it. */
  async #end(): Promise<void> {
    const { server, memory, timers } = this.#world;
    for (let past = 0; past < ABANDONED_MILLIS; past += STEP_MILLIS) {
      timers.advance(STEP_MILLIS);
      await timers.turn();
      this.#reap();
      await this.#bystander.idle();
    }
    const left = server.sessions().filter(({ targetName }) => targetName === this.#world.target.name);
    if (left.length > 0) throw new Error(`${left.length} sessions are still there that nobody uses`);
    await this.#bystander.end();
    await server.close();
    if (memory.outstanding !== 0) throw new Error(`${memory.outstanding} bytes are not given back`);
  }
}
