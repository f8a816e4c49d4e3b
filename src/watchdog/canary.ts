/**
 * What has to be alive for a site to be fed: the event loop, which sends the canary and hears of it; the journal and its
 * drive, which make a write durable for it; and the pipeline, which has not failed.
 *
 * A lost leg, a fenced primary, a degraded array and missing hosts let it pass: none of them gets better by a reset.
 */

import type { Journal } from "../journal/journal.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";

/** Resolves when it has passed; rejects with the failure of pipeline or journal; never, where one of them hangs. */
export type Canary = () => Promise<void>;

export function dataPathCanary(pipeline: Pick<Pipeline, "failure">, journal: Pick<Journal, "prove">): Canary {
  const throwIfFailed = () => {
    if (pipeline.failure !== undefined) throw pipeline.failure;
  };
  return async () => {
    throwIfFailed();
    await journal.prove();
    throwIfFailed();
  };
}
