/** What a site tells about itself: one snapshot for the console, `ctl`, and machines. Every figure says its unit. */

import type { CommandStatistics } from "../iscsi/index.ts";

export interface Alarm {
  readonly code: string;
  readonly what: string;
  readonly remedy: string;
}

export interface JournalStatus {
  readonly device: string;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly oldestMs: number;
  readonly promisedEpoch: number;
  readonly lastEpoch: number;
  /** Sequences: how far each watermark has come. */
  readonly appended: number;
  readonly durable: number;
  readonly committed: number;
  readonly stored: number;
  readonly retired: number;
  /** Absent where none is configured. */
  readonly battery?: BatteryStatus;
  /** What the last start found, if it had to truncate a torn tail. */
  readonly tornTail?: { readonly position: number; readonly bytes: number; readonly firstSequence: number };
}

export interface BatteryStatus {
  /** As the configuration has it. */
  readonly source: string;
  /** `good`, `bad`, or `unknown` until the first reading; only while it is good do requests gather in the journal. */
  readonly state: string;
  /** Why it is bad. */
  readonly reason?: string;
  /** Of a good one. */
  readonly chargePercent?: number;
  /** Since the last reading was taken, unless the last question had no answer. */
  readonly readingAgeMs?: number;
}

export interface CacheStatus {
  readonly capacityBytes: number;
  readonly hits: number;
  readonly misses: number;
}

export interface MemberStatus {
  readonly slot: number;
  readonly path?: string;
  readonly state: string;
  readonly errors: { readonly read: number; readonly write: number; readonly checksum: number };
  /** Rows that are complete on it while it is being rebuilt. */
  readonly rebuilt?: { readonly done: number; readonly total: number };
}

export interface ArrayStatus {
  readonly name: string;
  readonly level: number;
  readonly chunkBytes: number;
  readonly state: string;
  readonly capacityBytes: number;
  readonly allocatedBytes: number;
  readonly members: readonly MemberStatus[];
}

/** A link to the next site, of a leg of the primary or of a relay point. */
export interface ForwardStatus {
  readonly sites: readonly string[];
  readonly state: string;
  /** Why it is not streaming, if it is not. */
  readonly reason?: string;
  /** Sequences: what the first site has, and what the last site has. */
  readonly hop: number;
  readonly end: number;
  /** Requests that the first site lacks, and that the last site lacks. */
  readonly behindHop: number;
  readonly behindEnd: number;
  readonly unackedBytes: number;
  readonly roundTripMs?: number;
}

export interface UpstreamStatus {
  readonly site: string;
  readonly state: string;
  readonly remote?: string;
  readonly epoch: number;
  readonly requests: number;
  readonly bytes: number;
  readonly lastError?: string;
}

export interface VolumeStatus {
  readonly name: string;
  readonly lun: number;
  readonly bytes: number;
  readonly blockSize: number;
  readonly array?: string;
}

export interface SessionStatus {
  readonly initiator: string;
  readonly kind: string;
  /** Whom the host has proven to be by CHAP. */
  readonly user?: string;
  readonly remote: string;
  /** The address that it has connected to. */
  readonly portal: string;
  /** At work now. */
  readonly tasks: number;
  readonly commands: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** What hosts' commands to a volume were since the site has started, and how long they took: see docs/iscsi.md. */
export interface HostLoad extends CommandStatistics {
  readonly volume: string;
  readonly lun: number;
}

export interface WatchdogStatus {
  readonly device: string;
  /** What its driver calls it. */
  readonly identity: string;
  /** `starting`, `guarding`, `withheld`, `stopping`, `disarmed` or `left armed`. */
  readonly state: string;
  readonly timeoutMs: number;
  readonly sinceFedMs: number;
  /** Until it resets the machine, where the device tells. */
  readonly timeLeftMs?: number;
  readonly causedLastBoot: boolean;
  /** Whether nobody can disarm it, where the kernel tells. */
  readonly nowayout?: boolean;
  readonly feeds: number;
  readonly lateFeeds: number;
  readonly longestGapMs: number;
}

export interface SiteStatus {
  readonly version: string;
  readonly site: string;
  readonly group: string;
  readonly role: string;
  /** One word, and one sentence that says why and what is waited for. */
  readonly state: string;
  readonly reason: string;
  readonly epoch: number;
  readonly uptimeMs: number;
  readonly journal: JournalStatus;
  /** Absent where none is configured. */
  readonly watchdog?: WatchdogStatus;
  readonly cache: CacheStatus;
  readonly arrays: readonly ArrayStatus[];
  readonly volumes: readonly VolumeStatus[];
  readonly target?: {
    readonly iqn: string;
    readonly portals: readonly string[];
    readonly sessions: readonly SessionStatus[];
    readonly volumes: readonly HostLoad[];
  };
  /** Host writes without an acknowledgement, and those that wait for room before them. */
  readonly hostWrites?: { readonly unacknowledged: number; readonly waiting: number };
  readonly forwards: readonly ForwardStatus[];
  readonly upstreams: readonly UpstreamStatus[];
  readonly alarms: readonly Alarm[];
}
