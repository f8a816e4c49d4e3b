/** What is measured: the accesses that storage is judged by, small and scattered, and large and in order. */

import { type Access, type Client, iscsiPerf, qemuImg } from "./clients.ts";

export interface Case {
  readonly name: string;
  readonly access: Access;
}

const KiB = 1024;
const MiB = 1024 * KiB;

const small = (kind: Access["kind"], depth: number): Case => ({
  name: `4 KiB random ${kind}, depth ${depth}`,
  access: { kind, order: "random", requestBytes: 4 * KiB, depth },
});
const large = (kind: Access["kind"]): Case => ({
  name: `1 MiB sequential ${kind}, depth 8`,
  access: { kind, order: "sequential", requestBytes: MiB, depth: 8 },
});

const READS = [small("read", 1), small("read", 32), large("read")];
const WRITES = [small("write", 1), small("write", 32), large("write")];

/** Reads first: what writes leave behind in a cache is not what the read cases are about. */
export const COMPARED: readonly Case[] = [...READS, ...WRITES];
export const MIRRORED: readonly Case[] = WRITES;
const MANY: Case = {
  name: "4 KiB random read, 64 sessions",
  access: { kind: "read", order: "random", requestBytes: 4 * KiB, depth: 1, sessions: 64 },
};
export const PACKAGE: readonly Case[] = [...READS, MANY, ...WRITES];
export const DIGESTED: readonly Case[] = [READS[1], READS[2], WRITES[1], WRITES[2]];
/** The small ones of all: what a target itself costs shows there. */
export const BESIDE_LIO: readonly Case[] = COMPARED.filter(({ access }) => access.requestBytes < MiB);
export const CLIENTS: readonly Client[] = [qemuImg, iscsiPerf];

/** The small cases are counted in requests, the large ones in bytes. */
export function rateOf({ requestBytes }: Access, requestsPerSecond: number): number {
  return requestBytes >= MiB ? (requestsPerSecond * requestBytes) / MiB : requestsPerSecond;
}

export function rateUnit({ requestBytes }: Access): string {
  return requestBytes >= MiB ? "MiB/s" : "IOPS";
}
