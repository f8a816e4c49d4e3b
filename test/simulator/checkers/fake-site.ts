/** A site that a test makes up, to show checkers what real sites must never do. */

import { OperatingError } from "../../../src/base/operating-error.ts";
import { type Epoch, epoch, lba, type Sequence, sequence, volumeId } from "../../../src/base/units.ts";
import type { Config } from "../../../src/config/config.ts";
import type { EpochStart, RequestHead } from "../../../src/journal/journal.ts";
import { SimulatedSystem } from "../system.ts";
import type { AnsweredRead, Forwarding, WatchedSite } from "./fleet.ts";

/** Configurations of denver (the primary), boulder (a leg), relay-east and boston (another leg). */
export const CONFIGS = new SimulatedSystem(1, { legs: [["boulder"], ["relay-east*", "boston"]] });

const CAPACITY = 16 * 1024 * 1024;

class FakeJournal {
  readonly requests: RequestHead[] = [];
  durable = sequence(0);
  retired = sequence(0);
  promised = epoch(1);
  history: readonly EpochStart[] = [];
  usedBytes = 0;
  readonly capacityBytes = CAPACITY;
  readonly failure = undefined;

  get appended(): Sequence {
    return sequence(this.requests.length);
  }

  get lastEpoch() {
    return this.requests.at(-1)?.epoch ?? epoch(0);
  }

  head(of: Sequence): RequestHead | undefined {
    return of > this.retired ? this.requests[of - 1] : undefined;
  }

  /** Every request touches the same block. */
  newest(): Sequence {
    return this.appended > this.retired ? this.appended : sequence(0);
  }
}

export class FakeSite implements WatchedSite {
  readonly journal = new FakeJournal();
  readonly pipeline = { committed: sequence(0), stored: sequence(0), isGathering: false };
  battery: WatchedSite["battery"];
  isStopped = false;
  config: Config;
  controller: WatchedSite["controller"];
  forwards: Forwarding[] = [];
  cachedBytes = 0;
  memoryBytes = 0;
  sessions: number | undefined;
  /** Set by whoever watches. */
  admit: (head: RequestHead) => void = () => {};
  answer: (read: AnsweredRead) => void = () => {};

  constructor(readonly name: string) {
    this.config = CONFIGS.config(name);
  }

  watchAdmitted(take: (head: RequestHead) => void): void {
    this.admit = take;
  }

  watchReads(take: (read: AnsweredRead) => void): void {
    this.answer = take;
  }

  /** Appends writes of one block, durably, whose content is told by `checksum`. */
  append(of: number, checksum = 7, count = 1): this {
    const { journal } = this;
    for (let i = 0; i < count; i++) {
      const at = sequence(journal.appended + 1);
      if (journal.lastEpoch !== of) journal.history = [...journal.history, { epoch: epoch(of), start: at }];
      const common = { kind: "write", epoch: epoch(of), sequence: at, volume: volumeId(0) } as const;
      journal.requests.push({ ...common, lba: lba(0), blocks: 1, checksums: Uint32Array.of(checksum) });
    }
    journal.durable = journal.appended;
    return this;
  }

  commit(upTo: number): this {
    this.pipeline.committed = sequence(upTo);
    return this;
  }

  retire(upTo: number): this {
    this.pipeline.stored = sequence(upTo);
    this.journal.retired = sequence(upTo);
    return this;
  }

  /** Drops what is after `to`, as a cut does. */
  cut(to: number): this {
    const { journal } = this;
    journal.requests.length = to;
    journal.durable = sequence(Math.min(to, journal.durable));
    journal.history = journal.history.filter(({ start }) => start <= to);
    return this;
  }

  /** Sends to another site over a link that streams, and counts `ahead` requests more than that one has. */
  streamTo(to: FakeSite, unackedBytes = 0, ahead = 0): this {
    const position = { promised: epoch(1), lastEpoch: epoch(1), appended: sequence(0) };
    const state = { kind: "streaming", attempt: 1, since: 0, position } as unknown as Forwarding["sender"]["state"];
    const sender = {
      state,
      get hop() {
        return sequence(to.journal.durable + ahead);
      },
      unackedBytes,
      fencedBy: epoch(0),
      lastError: undefined,
    };
    this.forwards.push({ to: to.name, sender });
    return this;
  }

  /** The link to another site is over, since that one has promised a higher epoch. */
  fencedBy(to: FakeSite, of: number): this {
    return this.#refusedBy(to, epoch(of), "link.fenced");
  }

  /** The link to another site is over for this reason. */
  refusedBy(to: FakeSite, code: string): this {
    return this.#refusedBy(to, epoch(0), code);
  }

  #refusedBy(to: FakeSite, fencedBy: Epoch, code: string): this {
    const lastError = new OperatingError(code, "The link is over.", "Nothing.");
    const state = {
      kind: "refused",
      attempt: 1,
      retryAt: 0,
      error: lastError,
    } as unknown as Forwarding["sender"]["state"];
    this.forwards = [{ to: to.name, sender: { state, hop: sequence(0), unackedBytes: 0, fencedBy, lastError } }];
    return this;
  }

  /** Has the policy of a relay point be the other one. */
  acknowledgeAtEnd(): this {
    const { config } = this;
    if (config.role === "relay") this.config = { ...config, relay: { ...config.relay, acknowledge: "end" } };
    return this;
  }

  serve(of: number, writes: { unacknowledged?: number; waiting?: number } = {}): this {
    return this.#control({ kind: "serving", epoch: epoch(of), since: 0 }, of, writes);
  }

  fence(by: number, writes: { unacknowledged?: number; waiting?: number } = {}): this {
    return this.#control({ kind: "fenced", by: epoch(by) }, by - 1, writes);
  }

  #control(state: object, of: number, { unacknowledged = 0, waiting = 0 }): this {
    type Controller = NonNullable<WatchedSite["controller"]>;
    this.controller = { state: state as Controller["state"], epoch: epoch(of), unacknowledged, waiting };
    return this;
  }
}
