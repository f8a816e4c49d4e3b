/**
 * ROD tokens, SPC-4 section 5.16: what a host holds for blocks as they were when it asked for the token.
 *
 * A device keeps no old content, so a token is of the type "point in time copy - change vulnerable": it is revoked as soon as
 * one of its blocks is written or unmapped, whoever does it. What is written with a token is therefore what was there when the
 * token was made, or nothing.
 *
 * Invariants: a token that is alive stands for what its blocks hold, since it is made while no write is in flight, and every
 * later one passes the watch; only units with a token that is alive are watched, so that writes to others cost nothing; a
 * token can't be guessed; no host can have so many that others get none.
 */

import { concat } from "../concat.ts";
import type { Random, Timer, Timers } from "../interfaces.ts";
import { PHYSICAL_BLOCK_BYTES, TOKENS_MAX, TOKENS_REMEMBERED_MAX } from "../limits.ts";
import { naaCscd, targetName } from "./identification.ts";
import { CheckCondition, type Sense, Senses } from "./sense.ts";
import { toGiveWay } from "./shares.ts";
import { initiatorNameOf } from "./transport-id.ts";
import type { LogicalUnit } from "./unit.ts";

export const RodType = {
  /** The kinds of a point in time copy that a host may ask for and be given a change vulnerable one. */
  PointInTime: 0x00800000,
  ChangeVulnerable: 0x00800001,
  AnyPointInTime: 0x0080ffff,
  /** A token that anybody may make: it stands for any number of blocks of zeros. */
  BlockZero: 0xffff0001,
} as const;

export const TOKEN_BYTES = 512;
/** The part of a token that REPORT ALL ROD TOKENS shows: without its secret. */
export const MANAGEMENT_TOKEN_BYTES = 96;
const SECRET_BYTES = 32;
const ID_BYTES = 8;

export interface Range {
  readonly lba: number;
  readonly blocks: number;
}

export class Token {
  readonly bytes: Uint8Array;
  readonly unit: LogicalUnit;
  /** The initiator that it was made for. */
  readonly host: string;
  readonly ranges: readonly Range[];
  /** Between the first of its blocks and the last: a quick look for writes that are far from it. */
  readonly first: number;
  readonly end: number;
  readonly seconds: number;
  /** Why it can't be used any more. */
  over: Sense | undefined;
  /** Copies that are being made with it. */
  uses = 0;
  timer: Timer | undefined;

  constructor(bytes: Uint8Array, unit: LogicalUnit, host: string, ranges: readonly Range[], seconds: number) {
    this.bytes = bytes;
    this.unit = unit;
    this.host = host;
    this.ranges = ranges;
    this.seconds = seconds;
    this.first = ranges.reduce((least, { lba }) => Math.min(least, lba), Number.MAX_SAFE_INTEGER);
    this.end = ranges.reduce((most, { lba, blocks }) => Math.max(most, lba + blocks), 0);
  }

  get blocks(): number {
    return this.ranges.reduce((sum, { blocks }) => sum + blocks, 0);
  }

  includesAny(lba: number, blocks: number): boolean {
    if (lba >= this.end || lba + blocks <= this.first) return false;
    return this.ranges.some((range) => lba < range.lba + range.blocks && range.lba < lba + blocks);
  }
}

export class Tokens {
  readonly #timers: Timers;
  readonly #random: Random;
  /** By identifier. */
  readonly #alive = new Map<string, Token>();
  /** In the order in which they ended. */
  readonly #over = new Map<string, Sense>();
  #made = 0;

  constructor(timers: Timers, random: Random) {
    this.#timers = timers;
    this.#random = random;
  }

  /** Those that are alive. */
  all(): readonly Token[] {
    return [...this.#alive.values()];
  }

  /** To be called while no write of the unit is in flight. @param nexus the I_T nexus that asks for it */
  make(unit: LogicalUnit, nexus: string, ranges: readonly Range[], seconds: number): Token {
    const host = initiatorNameOf(nexus);
    if (this.#alive.size >= TOKENS_MAX) this.#makeRoom(host);
    const token = new Token(new Uint8Array(TOKEN_BYTES), unit, host, ranges, seconds);
    this.#fill(token);
    this.#alive.set(idOf(token.bytes), token);
    this.#watch(unit);
    this.#startTimer(token);
    return token;
  }

  /** One that nobody copies with, since there are more tokens than copies at once. */
  #makeRoom(asking: string): void {
    const unused = this.all().filter(({ uses }) => uses === 0);
    const token = toGiveWay(unused, ({ host }) => host, asking);
    if (token === undefined) throw new CheckCondition(Senses.InsufficientTokenResources);
    this.#end(token, Senses.TokenCancelled);
  }

  /** @throws CheckCondition with why it is not alive, as far as that is known */
  find(bytes: Uint8Array): Token {
    if (typeOf(bytes) !== RodType.ChangeVulnerable) throw new CheckCondition(Senses.UnsupportedTokenType);
    const id = idOf(bytes);
    const token = this.#alive.get(id);
    if (token === undefined) throw new CheckCondition(this.#over.get(id) ?? Senses.TokenUnknown);
    if (!token.bytes.every((byte, at) => byte === bytes[at])) throw new CheckCondition(Senses.TokenCorrupt);
    return token;
  }

  /** Its time does not run while it is used. */
  async using(token: Token, work: () => Promise<void>): Promise<void> {
    token.uses++;
    token.timer?.cancel();
    try {
      await work();
    } finally {
      token.uses--;
      if (token.uses === 0 && token.over === undefined) this.#startTimer(token);
    }
  }

  delete(token: Token): void {
    this.#end(token, Senses.TokenDeleted);
  }

  /** What the unit holds may change without a write that passes here, or who may read it; `undefined` is every unit. */
  cancel(unit?: LogicalUnit): void {
    for (const token of this.all())
      if (unit === undefined || token.unit === unit) this.#end(token, Senses.TokenCancelled);
  }

  #startTimer(token: Token): void {
    token.timer = this.#timers.after(1000 * token.seconds, () => this.#end(token, Senses.TokenExpired));
  }

  #end(token: Token, why: Sense): void {
    if (token.over !== undefined) return;
    const id = idOf(token.bytes);
    token.over = why;
    token.timer?.cancel();
    this.#alive.delete(id);
    this.#over.set(id, why);
    for (const oldest of this.#over.keys()) {
      if (this.#over.size <= TOKENS_REMEMBERED_MAX) break;
      this.#over.delete(oldest);
    }
    this.#watch(token.unit);
  }

  /** Watches a unit for as long as it has tokens. */
  #watch(unit: LogicalUnit): void {
    const tokens = this.all().filter((token) => token.unit === unit);
    if (tokens.length === 0) {
      unit.watch(undefined);
      return;
    }
    unit.watch((lba, blocks) => {
      for (const token of tokens) if (token.includesAny(lba, blocks)) this.#end(token, Senses.TokenRevoked);
    });
  }

  /** SPC-4 and SBC-4: type, identifier, creator, size, capacity; then the target, and what makes it secret. */
  #fill({ bytes, unit, blocks }: Token): void {
    const view = new DataView(bytes.buffer);
    view.setUint32(0, RodType.ChangeVulnerable);
    view.setUint16(6, TOKEN_BYTES - ID_BYTES);
    this.#made = (this.#made + 1) >>> 0;
    bytes.set(this.#secret(4), 8);
    view.setUint32(12, this.#made);
    bytes.set(naaCscd(unit), 16);
    view.setBigUint64(56, BigInt(blocks * unit.blockSize));
    view.setUint32(88, unit.blockSize);
    bytes[93] = Math.log2(PHYSICAL_BLOCK_BYTES / unit.blockSize);
    bytes[94] = 0xc0; // LBPME, LBPRZ
    bytes.set(targetName(unit.host.portGroups), 128);
    bytes.set(this.#secret(SECRET_BYTES), TOKEN_BYTES - SECRET_BYTES);
  }

  #secret(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#random.below(0x100));
  }
}

/** The block device zero token, whose every other byte is zero. */
export function isBlockZero(bytes: Uint8Array): boolean {
  return typeOf(bytes) === RodType.BlockZero;
}

function typeOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0);
}

function idOf(bytes: Uint8Array): string {
  return bytes.subarray(8, 8 + ID_BYTES).join(".");
}

export function managementTokens(tokens: readonly Token[]): Uint8Array {
  return concat(...tokens.map(({ bytes }) => bytes.subarray(0, MANAGEMENT_TOKEN_BYTES)));
}
