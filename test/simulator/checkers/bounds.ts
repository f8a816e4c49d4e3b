/** Everything that a site holds has its named bound, and is within it. */

import { KiB, MiB } from "../../../src/base/units.ts";
import type { Config } from "../../../src/config/config.ts";
import {
  CONNECTIONS_MAX,
  READ_BUDGET_BYTES,
  RETAINED_BYTES_MAX,
  SESSIONS_MAX,
  TASKS_MAX,
  UNMAP_DESCRIPTORS_MAX,
  WRITE_BUDGET_BYTES,
} from "../../../src/iscsi/limits.ts";
import { REQUESTS_MAX } from "../../../src/journal/live-requests.ts";
import { HISTORY_MAX } from "../../../src/journal/superblock.ts";
import { REQUEST_PAYLOAD_MAX } from "../../../src/link/frame.ts";
import { GREETINGS_MAX } from "../../../src/link/link-listener.ts";
import { CALLS_MAX } from "../../../src/link/messages.ts";
import { READ_AHEAD_BYTES } from "../../../src/link/read-ahead.ts";
import type { Checker } from "./checker.ts";
import { type Fleet, nextSites, type WatchedSite } from "./fleet.ts";

const BLOCK = 4 * KiB;

/** What one command can make of itself: an UNMAP for each extent its whole blocks, and zeros at either end. */
const WRITES_PER_TASK_MAX = 3 * UNMAP_DESCRIPTORS_MAX;
/** Blocks that a primary writes again by itself, since a read could not have them from its array, and one of a repair. */
const REWRITES_MAX = 16 + 1;

/** Both connections of a link, the session before that says its last words, and the one that is on its way up. */
const SESSIONS_PER_LINK_MAX = 4;
const CHANNELS_PER_SESSION = 2;

/** Memory of an array, by the table in docs/array.md. */
const ARRAY_BYTES = 16 * MiB + 64 * 64 * KiB + 8 * 2 * MiB;
/** Copies of checksum blocks on their way to a drive, superblocks, what repairs and creation use. */
const ARRAY_SMALL_BYTES = 128 * BLOCK + 2 * MiB;
/** For each member: its log parts while degraded, once more while they are replayed, and a chunk that is compared. */
const MEMBER_BYTES = 2 * 516 * KiB + MiB;
/** What the destager gathers as one batch. */
const BATCH_BYTES = 8 * MiB;
/** The journal's superblock, and what recovery reads at once. */
const JOURNAL_SMALL_BYTES = BLOCK + MiB;
/** A channel gathers so much, and assembles one frame that is not a request. */
const CHANNEL_BYTES = 256 * KiB + BLOCK + 64 * KiB;
const RECEIVED_REQUEST_BYTES = BLOCK + REQUEST_PAYLOAD_MAX;
/** The blocks of one `checksums` question, and of one run of verify. */
const CHECKSUM_BYTES = 4 * MiB;
/** Output chunks that a target keeps, and those that one session may have under way. */
const CHUNKS_BYTES = 64 * 256 * KiB;
const SESSION_OUTPUT_BYTES = 16 * MiB;

export class Bounds implements Checker {
  readonly name = "bounds";
  readonly #fleet: Fleet;
  /** Ends of connections in the whole universe. */
  readonly #connections: () => number;

  constructor(fleet: Fleet, connections: () => number) {
    this.#fleet = fleet;
    this.#connections = connections;
  }

  look(): string | undefined {
    for (const site of this.#fleet.running) {
      const fault = this.#journal(site) ?? this.#memory(site) ?? this.#links(site) ?? this.#hosts(site);
      if (fault !== undefined) return `${site.name}: ${fault}`;
    }
    return exceeds("ends of connections in the universe", this.#connections(), this.#connectionsMax());
  }

  #journal({ journal }: WatchedSite): string | undefined {
    const { usedBytes, capacityBytes, appended, retired, durable, history } = journal;
    if (usedBytes < 0) return `the journal uses ${usedBytes} bytes`;
    if (retired > durable || durable > appended) return `retired ${retired}, durable ${durable}, appended ${appended}`;
    return (
      exceeds("bytes of the journal", usedBytes, capacityBytes) ??
      exceeds("live requests", appended - retired, Math.min(capacityBytes / BLOCK, REQUESTS_MAX)) ??
      exceeds("epochs in the journal's history", history.length, HISTORY_MAX)
    );
  }

  #memory({ config, cachedBytes, memoryBytes, sessions = 0 }: WatchedSite): string | undefined {
    return (
      exceeds("bytes in the read cache", cachedBytes, config.journal.cache) ??
      exceeds("bytes of the World's memory", memoryBytes, memoryMax(config, sessions))
    );
  }

  /** A site is never sent more than its journal can take. */
  #links({ forwards }: WatchedSite): string | undefined {
    for (const { to, sender } of forwards) {
      const next = this.#fleet.members.get(to);
      if (next === undefined) continue;
      const fault = exceeds(`bytes that ${to} has not ACKed`, sender.unackedBytes, next.capacityBytes);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #hosts({ controller, sessions }: WatchedSite): string | undefined {
    if (controller === undefined || sessions === undefined) return undefined;
    const writes = controller.unacknowledged + controller.waiting;
    return (
      exceeds("iSCSI sessions", sessions, SESSIONS_MAX) ??
      exceeds("host writes under way", writes, sessions * TASKS_MAX * WRITES_PER_TASK_MAX + REWRITES_MAX)
    );
  }

  /** Each connection is counted at both of its ends. */
  #connectionsMax(): number {
    let most = 0;
    for (const { config } of this.#fleet.members.values()) {
      most += 2 * CHANNELS_PER_SESSION * SESSIONS_PER_LINK_MAX * nextSites(config).length;
      if (config.link !== undefined) most += 2 * GREETINGS_MAX;
      if (config.role === "primary") most += 2 * CONNECTIONS_MAX;
    }
    return most;
  }
}

/** Bytes of the World's memory that a site of this configuration may have, with so many iSCSI sessions. */
export function memoryMax(config: Config, sessions: number): number {
  const { window, cache } = config.journal;
  const arrays = Object.values(config.arrays).reduce(
    (sum, { drives }) => sum + ARRAY_BYTES + ARRAY_SMALL_BYTES + drives.length * MEMBER_BYTES,
    0,
  );
  const stores = Object.keys(config.arrays).length > 0;
  const channels = SESSIONS_PER_LINK_MAX * CHANNELS_PER_SESSION;
  const sending = nextSites(config).length * (channels * CHANNEL_BYTES + READ_AHEAD_BYTES);
  const upstreams = config.link?.from.length ?? 0;
  const receiving =
    upstreams * (channels * (CHANNEL_BYTES + RECEIVED_REQUEST_BYTES) + CALLS_MAX * CHECKSUM_BYTES) +
    (config.link === undefined ? 0 : GREETINGS_MAX * CHANNEL_BYTES);
  const serving =
    config.role === "primary" ? RETAINED_BYTES_MAX + CHUNKS_BYTES + CHECKSUM_BYTES + sessions * sessionMax() : 0;
  return window + JOURNAL_SMALL_BYTES + cache + (stores ? BATCH_BYTES : 0) + arrays + sending + receiving + serving;
}

function sessionMax(): number {
  return WRITE_BUDGET_BYTES + READ_BUDGET_BYTES + SESSION_OUTPUT_BYTES;
}

function exceeds(what: string, value: number, most: number): string | undefined {
  return value > most ? `${value} ${what}, at most ${most} are allowed` : undefined;
}
