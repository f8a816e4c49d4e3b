/**
 * How a primary starts: every start takes a new epoch.
 *
 * 1. Promise a higher epoch here, and have every leg promise it; no message of a lower epoch counts there any more.
 * 2. Ask every leg's position, after its promise. The furthest of them all, this site included, is the source: the
 *    writes in doubt are rolled forward from it, and what somebody has beside it is cut.
 * 3. Fetch what this site lacks; bring every leg in line and stream to it.
 * 4. Write the epoch-start request, and serve when every leg has ACKed it.
 *
 * Any step may fail because a leg goes away; then the next attempt starts from the top, in a higher epoch.
 */

import type { Condition } from "../base/condition.ts";
import { type DataWriteRequest, dataBlocks } from "../base/data-write-request.ts";
import { OperatingError } from "../base/operating-error.ts";
import { type Epoch, epoch, lba, millis, type Sequence, sequence, volumeId } from "../base/units.ts";
import { align } from "../pipeline/align.ts";
import { askFetch, askPosition, type Call } from "../pipeline/calls.ts";
import { isAhead, type LogPosition, sharedPoint } from "../pipeline/history.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { sleep } from "../platform/clock.ts";
import type { World } from "../platform/world.ts";
import { isUp, type Leg } from "./leg.ts";

export interface Takeover {
  readonly world: World;
  readonly site: string;
  readonly pipeline: Pipeline;
  readonly legs: readonly Leg[];
  /** Poked when a leg's state, the room in the journal or a watermark changed. */
  readonly progress: Condition;
  /** From now on, messages carry this epoch, and legs that come back wait to be brought in line. */
  setEpoch(taken: Epoch): void;
  setPhase(phase: string, lastError?: OperatingError): void;
  /** From now on, legs that come back go on by themselves. */
  letResume(): void;
}

/** Pause before another attempt, so that two appliances that start at once do not supersede each other for ever. */
const RETRY_DELAY_MIN_MS = 200;
const RETRY_DELAY_SPREAD_MS = 800;

/** Failures that another attempt may well not meet. Everything else wants an operator. */
const TRANSIENT = new Set(["link.lost", "link.timeout", "link.busy", "mirror.cutting", "takeover.superseded"]);

/** Resolves when the epoch is taken and every leg has its epoch-start; the caller may serve. */
export async function takeEpoch(takeover: Takeover): Promise<void> {
  let lastError: OperatingError | undefined;
  for (;;) {
    try {
      return await attempt(takeover, lastError);
    } catch (error) {
      if (!(error instanceof OperatingError) || !TRANSIENT.has(error.code)) throw error;
      lastError = error;
      const delay = RETRY_DELAY_MIN_MS + takeover.world.random.below(RETRY_DELAY_SPREAD_MS);
      await sleep(takeover.world.clock, millis(delay));
    }
  }
}

async function attempt(takeover: Takeover, lastError: OperatingError | undefined): Promise<void> {
  const { pipeline, legs, progress } = takeover;
  // Rejects if the controller was stopped during the pause: the journal is closed then.
  await progress.until(() => true);
  const taken = epoch(Math.max(pipeline.position.promised, ...legs.map((leg) => leg.sender.fencedBy)) + 1);
  takeover.setEpoch(taken);
  await pipeline.promise(taken);

  const positions = new Map<Leg, LogPosition>();
  for (const leg of legs) positions.set(leg, await promised(takeover, leg, taken, lastError));
  const source = furthest(pipeline.position, positions);
  if (source !== undefined) await rollForward(takeover, source.leg, source.position);

  takeover.setPhase(`bringing every leg to sequence ${pipeline.appended}`, lastError);
  // The log here is settled. A leg that comes back while another is brought in line goes on by itself already now.
  takeover.letResume();
  for (const leg of legs) await align(leg.sender, () => pipeline.position);

  await progress.until(() => pipeline.hasRoom(0) || isOvertaken(takeover, taken));
  if (isOvertaken(takeover, taken)) throw superseded(takeover, taken);
  const start = sequence(pipeline.appended + 1);
  pipeline.accept(epochStart(taken, start));
  takeover.setPhase(`waiting for every leg to acknowledge the start of epoch ${taken}`, lastError);
  await progress.until(() => pipeline.committed >= start || isOvertaken(takeover, taken));
  if (isOvertaken(takeover, taken)) throw superseded(takeover, taken);
}

/** Has the leg's first site promise the epoch, which it does before it answers a message of that epoch. */
async function promised(
  takeover: Takeover,
  leg: Leg,
  taken: Epoch,
  lastError: OperatingError | undefined,
): Promise<LogPosition> {
  takeover.setPhase(`waiting for ${leg.sites[0]} to promise epoch ${taken}`, lastError);
  leg.sender.start();
  await takeover.progress.until(() => isUp(leg) || isOvertaken(takeover, taken));
  if (isOvertaken(takeover, taken)) throw superseded(takeover, taken);
  const position = await askPosition(callOf(leg));
  // An epoch that a log has already is another primary's, though the leg could not tell: it carried the same number.
  if (position.promised !== taken || position.lastEpoch >= taken) throw superseded(takeover, taken);
  return position;
}

/** Whether a leg refused the epoch for one that is at least as high. */
function isOvertaken(takeover: Takeover, taken: Epoch): boolean {
  return takeover.legs.some((leg) => leg.sender.fencedBy >= taken);
}

function superseded(takeover: Takeover, taken: Epoch): OperatingError {
  return new OperatingError(
    "takeover.superseded",
    `Site ${takeover.site} did not get epoch ${taken}: a leg has promised a higher one.`,
    "It tries again with a higher one; check that no other primary of this group runs.",
  );
}

function furthest(
  own: LogPosition,
  positions: ReadonlyMap<Leg, LogPosition>,
): { readonly leg: Leg; readonly position: LogPosition } | undefined {
  let best: { leg: Leg; position: LogPosition } | undefined;
  for (const [leg, position] of positions) {
    if (isAhead(position, best?.position ?? own)) best = { leg, position };
  }
  return best;
}

/** Makes this site's log the source's: cuts what is beside it, fetches what is beyond it. */
async function rollForward(takeover: Takeover, leg: Leg, source: LogPosition): Promise<void> {
  const { pipeline, progress } = takeover;
  const own = pipeline.position;
  const shared = sharedPoint(own, source);
  if (shared < own.committed || shared < source.retired) {
    throw new OperatingError(
      "takeover.source-out-of-reach",
      `Site ${leg.sites[0]} is furthest (epoch ${source.lastEpoch}, sequence ${source.appended}), but site ${takeover.site} shares its log up to sequence ${shared} only.`,
      "Check whether the journal of one of them was replaced; do not format any journal before both are compared.",
    );
  }
  if (own.appended > shared) {
    await pipeline.cut(shared);
    for (const each of takeover.legs) each.sender.cut(shared);
  }
  takeover.setPhase(`fetching sequences ${shared + 1} to ${source.appended} from ${leg.sites[0]}`);
  while (pipeline.appended < source.appended) {
    for (const request of await askFetch(callOf(leg), sequence(pipeline.appended + 1))) {
      verify(takeover.world, leg, request, sequence(pipeline.appended + 1));
      await progress.until(() => pipeline.hasRoom(dataBlocks(request)));
      pipeline.accept(request);
    }
  }
}

function verify(world: World, leg: Leg, request: DataWriteRequest, expected: Sequence): void {
  const checksums = new Uint32Array(dataBlocks(request));
  world.arithmetic.crc32cBlocks(request.data, checksums);
  if (request.sequence === expected && checksums.every((each, block) => each === request.checksums[block])) return;
  throw new OperatingError(
    "takeover.fetch-corrupt",
    `Site ${leg.sites[0]} answered a fetch of sequence ${expected} with a request that is not it, or is damaged.`,
    "Check the network and that site's memory and journal, then start this site again.",
  );
}

function epochStart(taken: Epoch, at: Sequence): DataWriteRequest {
  return {
    kind: "epoch-start",
    epoch: taken,
    sequence: at,
    volume: volumeId(0),
    lba: lba(0),
    blocks: 0,
    checksums: new Uint32Array(0),
    data: new Uint8Array(0),
  };
}

function callOf(leg: Leg): Call {
  return (method, body, deadline) => leg.sender.call(method, body, deadline);
}
