/**
 * A site that is fed by the site link: a remote mirror site, a backup that is not promoted, or a relay point.
 * They differ only in whether they store, whether they forward, and when they acknowledge.
 *
 * Invariants (the relay rule):
 * - A request is forwarded only when this site's own journal has it, so the next site is never ahead of this one.
 * - Hop-acknowledged is what this site may tell the previous one is safe here: its journal has it, and,
 *   under the end-to-end policy, the last site of the leg has it too.
 * - End-acknowledged is what the last site of the leg has.
 * - What is committed, the previous site says; this one passes it on.
 */

import { Condition } from "../base/condition.ts";
import { type DataWriteRequest, dataBlocks, descriptorBytes } from "../base/data-write-request.ts";
import { OperatingError } from "../base/operating-error.ts";
import { lba as asLba, BLOCK_BYTES, type Epoch, millis, type Sequence, sequence } from "../base/units.ts";
import type { Journal } from "../journal/journal.ts";
import type { RequestSink } from "../link/contract.ts";
import type { LinkListener } from "../link/link-listener.ts";
import type { LinkSender } from "../link/link-sender.ts";
import { align, resumeFrom } from "../pipeline/align.ts";
import {
  answerCall,
  askChecksums,
  type Call,
  type CallHandlers,
  CHECKSUM_BLOCKS_MAX,
  type ChecksumQuestion,
  FETCH_BYTES_MAX,
  type SiteChecksums,
} from "../pipeline/calls.ts";
import type { LogPosition } from "../pipeline/history.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { sleep } from "../platform/clock.ts";
import type { World } from "../platform/world.ts";

/** When this site acknowledges the previous one: when its journal has the request, or when the leg's last site has it. */
export type AcknowledgePolicy = "journalled" | "end";

/** How long a question about the state at a sequence waits for that sequence to arrive. */
const CATCH_UP_MAX = millis(20_000);

export class Downstream implements RequestSink {
  /** Requests from `first` to `last` were dropped, since the primary's log goes on without them. None was acknowledged. */
  onCut: (first: Sequence, last: Sequence) => void = () => {};

  readonly #world: World;
  readonly #site: string;
  readonly #pipeline: Pipeline;
  readonly #journal: Journal;
  readonly #acknowledge: AcknowledgePolicy;
  readonly #stores: boolean;
  readonly #progress = new Condition();
  #cutting = false;
  #next: LinkSender | undefined;
  #listener: LinkListener | undefined;
  readonly #handlers: CallHandlers;
  /** For the blocks of one question; whoever uses it takes it, and a failed read never gives it back. */
  #checksumBuffer: Uint8Array | undefined;

  constructor(
    world: World,
    options: {
      readonly site: string;
      readonly pipeline: Pipeline;
      readonly journal: Journal;
      readonly acknowledge: AcknowledgePolicy;
      readonly stores: boolean;
    },
  ) {
    this.#world = world;
    this.#site = options.site;
    this.#pipeline = options.pipeline;
    this.#journal = options.journal;
    this.#acknowledge = options.acknowledge;
    this.#stores = options.stores;
    this.#handlers = {
      position: () => this.#pipeline.position,
      fetch: (from) => this.#fetch(from),
      cut: (to) => this.#cut(to),
      checksums: (question) => this.#checksums(question),
      read: async (volume, lba, into) => this.#pipeline.read(volume, lba, into),
    };
    options.pipeline.onProgress = () => this.#moved();
    options.pipeline.onRoom = () => this.#listener?.roomAvailable();
  }

  get pipeline(): Pipeline {
    return this.#pipeline;
  }
  get next(): LinkSender | undefined {
    return this.#next;
  }
  get listener(): LinkListener | undefined {
    return this.#listener;
  }

  /** The next hop of the leg, for a relay point. Its `source` is `durableSource`. */
  forwardTo(next: LinkSender): void {
    this.#next = next;
    this.#pipeline.forwards = [next];
    next.start();
  }

  listen(listener: LinkListener): void {
    this.#listener = listener;
  }

  // RequestSink: what the link asks and tells.

  position(): { promised: Epoch; lastEpoch: Epoch; appended: Sequence } {
    return this.#pipeline.position;
  }

  async promise(epoch: Epoch): Promise<void> {
    await this.#pipeline.promise(epoch);
  }

  accept(request: DataWriteRequest): boolean {
    if (!this.#pipeline.hasRoom(dataBlocks(request))) return false;
    this.#pipeline.accept(request);
    return true;
  }

  commit(upTo: Sequence): void {
    this.#pipeline.commit(upTo);
  }

  acks(): { hop: Sequence; end: Sequence } {
    const end = this.#end();
    return { hop: this.#hop(end), end };
  }

  creditBytes(): number {
    return this.#pipeline.freeBytes;
  }

  call(method: string, body: Uint8Array): Promise<Uint8Array> {
    return answerCall(this.#handlers, method, body);
  }

  // What the next hop's link asks and tells.

  nextAcknowledged(): void {
    this.#pipeline.acknowledged();
    this.#moved();
  }

  resumeNext(position: { lastEpoch: Epoch; appended: Sequence }): Sequence | "hold" {
    return resumeFrom(this.#durablePosition(), position) ?? "hold";
  }

  nextChanged(): void {
    if (this.#next?.state.kind === "holding") void this.#alignNext();
  }

  #durablePosition(): LogPosition {
    const position = this.#pipeline.position;
    return { ...position, appended: this.#pipeline.durable };
  }

  async #alignNext(): Promise<void> {
    const next = this.#next;
    if (next === undefined) return;
    try {
      await align(next, () => this.#durablePosition());
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      // A link that was lost meanwhile is aligned when it is back; one that is still up would hold for ever.
      if (error.code !== "link.lost") next.refuse(error);
    }
  }

  #callNext(next: LinkSender): Call {
    return (method, body, deadline) => next.call(method, body, deadline);
  }

  #end(): Sequence {
    if (this.#next !== undefined) return sequence(Math.min(this.#next.end, this.#pipeline.durable));
    return this.#pipeline.durable;
  }

  #hop(end: Sequence): Sequence {
    return this.#acknowledge === "end" ? end : this.#pipeline.durable;
  }

  #moved(): void {
    this.#next?.notify();
    this.#listener?.acknowledge();
    this.#progress.poke();
  }

  async #fetch(from: Sequence): Promise<readonly DataWriteRequest[]> {
    const requests: DataWriteRequest[] = [];
    let bytes = 0;
    for (let at = from; at <= this.#journal.appended; at = sequence(at + 1)) {
      const head = this.#journal.head(at);
      if (head === undefined) break;
      const carried = dataBlocks({ ...head, data: EMPTY });
      bytes += descriptorBytes(carried) + carried * BLOCK_BYTES;
      if (requests.length > 0 && bytes > FETCH_BYTES_MAX) break;
      const data = new Uint8Array(carried * BLOCK_BYTES);
      if (carried > 0) await this.#journal.readData(at, 0, carried, data);
      requests.push({ ...head, data });
    }
    if (requests.length > 0) return requests;
    throw new OperatingError(
      "mirror.not-in-journal",
      `The journal of site ${this.#site} holds sequences ${this.#journal.retired + 1} to ${this.#journal.appended}, not ${from}.`,
      "The site that asked must be resynced from scratch.",
    );
  }

  /** One at a time: one that waited for another could drop what came after it was asked for. */
  async #cut(to: Sequence): Promise<void> {
    if (this.#cutting) {
      throw new OperatingError(
        "mirror.cutting",
        `Site ${this.#site} is still dropping the end of its log, as it was asked to before.`,
        "Nothing: it is asked again.",
      );
    }
    this.#cutting = true;
    try {
      await this.#cutAfter(to);
    } finally {
      this.#cutting = false;
    }
  }

  async #cutAfter(to: Sequence): Promise<void> {
    if (to < this.#pipeline.committed) {
      throw new OperatingError(
        "mirror.cut-refused",
        `Site ${this.#site} was asked to drop what is after sequence ${to}, but holds acknowledged writes up to ${this.#pipeline.committed}.`,
        "Compare the sites before anything is dropped; the asker lacks acknowledged writes.",
      );
    }
    const last = this.#pipeline.appended;
    if (to < last) {
      await this.#pipeline.cut(to);
      this.onCut(sequence(to + 1), last);
    }
    // The next hop may have what was dropped here: its link compares the logs anew.
    this.#next?.cut(to);
  }

  async #checksums(question: ChecksumQuestion): Promise<readonly SiteChecksums[]> {
    const behind = this.#next === undefined ? [] : this.#checksumsBehind(this.#next, question);
    return [await this.#ownChecksums(question), ...(await behind)];
  }

  async #ownChecksums(question: ChecksumQuestion): Promise<SiteChecksums> {
    if (!this.#stores) return { site: this.#site, state: "diskless" };
    try {
      await this.#caughtUp(question.atLeast);
      return { site: this.#site, state: "stored", checksums: await this.#storedChecksums(question) };
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      return { site: this.#site, state: "unknown", code: error.code, reason: error.what };
    }
  }

  async #storedChecksums({ volume, lba, blocks }: ChecksumQuestion): Promise<readonly number[]> {
    const buffer = this.#checksumBuffer ?? this.#world.memory.allocate(CHECKSUM_BLOCKS_MAX * BLOCK_BYTES);
    this.#checksumBuffer = undefined;
    try {
      const data = buffer.subarray(0, blocks * BLOCK_BYTES);
      await this.#pipeline.readStored(volume, asLba(lba), data);
      const checksums = new Uint32Array(blocks);
      this.#world.arithmetic.crc32cBlocks(data, checksums);
      return Array.from(checksums);
    } finally {
      // One is kept for the next question; questions at the same time have one each.
      if (this.#checksumBuffer === undefined) this.#checksumBuffer = buffer;
      else this.#world.memory.free(buffer);
    }
  }

  async #checksumsBehind(next: LinkSender, question: ChecksumQuestion): Promise<readonly SiteChecksums[]> {
    try {
      return await askChecksums(this.#callNext(next), question);
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      return [{ site: next.remote, state: "unknown", code: error.code, reason: error.what }];
    }
  }

  async #caughtUp(at: Sequence): Promise<void> {
    const done = new AbortController();
    const deadline = sleep(this.#world.clock, CATCH_UP_MAX, done.signal).then(() => {
      throw new OperatingError(
        "mirror.behind",
        `Site ${this.#site} has ${this.#pipeline.appended} of ${at} requests and did not catch up in time.`,
        "Wait until its leg is in step (show mirror), then ask again.",
      );
    });
    try {
      await Promise.race([this.#progress.until(() => this.#pipeline.appended >= at), deadline]);
    } finally {
      done.abort();
    }
  }
}

const EMPTY = new Uint8Array(0);
