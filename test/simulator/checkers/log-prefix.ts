/**
 * Every site's log is a prefix of the log of the site before it, and what was committed once never changes:
 *
 * - the same sequence of the same epoch is the same request everywhere, and a log's epochs never go back;
 * - what the sites knew to be committed is at every site whose ACK it counted on, for ever, in every later epoch;
 * - while a link streams in an epoch that both its ends have promised, the site behind it has nothing that the site
 *   before it lacks. A relay point lacks what is not durable there; the primary sends what its journal still writes;
 * - what the site before it counts as acknowledged meanwhile is durable behind it.
 */

import { sequence } from "../../../src/base/units.ts";
import type { Checker } from "./checker.ts";
import type { Fleet, Forwarding, WatchedSite } from "./fleet.ts";
import { epochAt, type LogRecord } from "./log-record.ts";
import type { Obligations } from "./obligations.ts";

/** How far one process's log was looked at. */
interface Progress {
  readonly site: WatchedSite;
  history: WatchedSite["journal"]["history"];
  /** Its requests were taken down up to here. */
  seen: number;
  /** Its log was compared with what is committed up to here. */
  matched: number;
}

export class LogPrefix implements Checker {
  readonly name = "log-prefix";
  readonly #fleet: Fleet;
  readonly #record: LogRecord;
  readonly #obligations: Obligations;
  readonly #progress = new Map<string, Progress>();
  /** What was wrong with a request as it entered the order, between two looks. */
  #admissionFault: string | undefined;

  constructor(fleet: Fleet, record: LogRecord, obligations: Obligations) {
    this.#fleet = fleet;
    this.#record = record;
    this.#obligations = obligations;
  }

  look(): string | undefined {
    const { running, members } = this.#fleet;
    if (this.#admissionFault !== undefined) return this.#admissionFault;
    for (const site of running) {
      const fault = this.#see(this.#progressOf(site));
      if (fault !== undefined) return fault;
    }
    for (const site of running) {
      if (site.pipeline.committed > this.#record.committed) this.#record.commit(site);
      this.#oblige(site);
    }
    const fault = this.#obligations.broken(this.#fleet) ?? this.#mismatch() ?? this.#overtaken() ?? this.#overcounted();
    if (fault === undefined) {
      const retired = [...members.values()].filter(({ name }) => !this.#obligations.isReleased(name));
      if (retired.length > 0) this.#record.trim(Math.min(...retired.map((member) => member.retired)));
    }
    return fault;
  }

  #progressOf(site: WatchedSite): Progress {
    const { history, appended } = site.journal;
    let progress = this.#progress.get(site.name);
    if (progress?.site !== site) {
      progress = { site, history, seen: 0, matched: 0 };
      this.#progress.set(site.name, progress);
      // With many writes under way, one can come and go between two looks.
      site.watchAdmitted?.((head) => {
        this.#admissionFault ??= this.#record.see(`the hosts of ${site.name}`, head);
      });
    }
    // A cut or a new epoch: what follows may have been replaced.
    if (progress.history !== history) {
      progress.history = history;
      progress.seen = 0;
      progress.matched = 0;
    }
    progress.seen = Math.min(progress.seen, appended);
    progress.matched = Math.min(progress.matched, appended);
    return progress;
  }

  /** Takes down what is new in the site's journal. */
  #see(progress: Progress): string | undefined {
    const { name, journal } = progress.site;
    const from = Math.max(progress.seen, journal.retired, this.#record.floor);
    let epoch = journal.head(sequence(from))?.epoch ?? 0;
    for (let at = from + 1; at <= journal.appended; at++) {
      const head = journal.head(sequence(at));
      if (head === undefined) return `${name} lacks request ${at}, which its journal should hold`;
      if (head.epoch < epoch) return `the log of ${name} goes back to epoch ${head.epoch} at sequence ${at}`;
      epoch = head.epoch;
      const fault = this.#record.see(name, head);
      if (fault !== undefined) return fault;
    }
    progress.seen = journal.appended;
    return undefined;
  }

  /** What a site knows to be committed must stay where it was counted on. */
  #oblige({ name, config, pipeline }: WatchedSite): void {
    const why = `${name} knew to be committed all up to`;
    const { primaries } = this.#fleet;
    // Of a site that is fed by the link nothing tells which of several primaries counted.
    if (config.role !== "primary" && primaries.length > 1) return;
    for (const primary of primaries) {
      if (config.role === "primary" && primary.name !== name) continue;
      this.#obligations.raise(primary.name, pipeline.committed, why);
      for (const leg of primary.legs) {
        for (const site of this.#fleet.acknowledging(leg)) this.#obligations.raise(site, pipeline.committed, why);
      }
    }
  }

  /** Compares each log with what is committed, as far as it must be the same. */
  #mismatch(): string | undefined {
    for (const { name, journal, pipeline } of this.#fleet.running) {
      const progress = this.#progress.get(name);
      if (progress === undefined) continue;
      const end = Math.max(pipeline.committed, Math.min(journal.appended, this.#obligations.upTo(name)));
      for (let at = Math.max(progress.matched, this.#record.floor) + 1; at <= end; at++) {
        const committed = this.#record.epochOf(at);
        const own = epochAt(journal.history, at);
        if (committed !== undefined && own !== 0 && own !== committed) {
          return `${name} has a request of epoch ${own} at sequence ${at}, but the one of epoch ${committed} was committed`;
        }
      }
      progress.matched = end;
    }
    return undefined;
  }

  #overtaken(): string | undefined {
    for (const site of this.#fleet.running) {
      for (const forwarding of site.forwards) {
        const fault = this.#overtakes(site, forwarding);
        if (fault !== undefined) return fault;
      }
    }
    return undefined;
  }

  #overcounted(): string | undefined {
    for (const { name, forwards } of this.#fleet.running) {
      for (const { to, sender } of forwards) {
        const behind = this.#fleet.site(to);
        if (behind === undefined || sender.state.kind !== "streaming" || this.#obligations.isReleased(to)) continue;
        const { durable } = behind.journal;
        if (sender.hop > durable) return `${name} counts ${to} up to ${sender.hop}, which has ${durable} durably`;
      }
    }
    return undefined;
  }

  #overtakes(before: WatchedSite, { to, sender }: Forwarding): string | undefined {
    const behind = this.#fleet.site(to);
    if (behind === undefined || sender.state.kind !== "streaming") return undefined;
    const { journal, controller } = before;
    if (behind.journal.promised !== (controller?.epoch ?? journal.promised)) return undefined;
    const { appended, lastEpoch } = behind.journal;
    const sendable = controller === undefined ? journal.durable : journal.appended;
    if (appended > sendable)
      return `${to} has requests up to ${appended}, ${before.name} may send up to ${sendable} only`;
    const epoch = epochAt(journal.history, appended);
    if (appended > 0 && epoch !== 0 && epoch !== lastEpoch) {
      return `${to} has a request of epoch ${lastEpoch} at sequence ${appended}, ${before.name} one of epoch ${epoch}`;
    }
    return undefined;
  }
}
