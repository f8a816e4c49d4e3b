import type { RequestSource } from "../link/contract.ts";

/** A journal as a relay point forwards from it: what is not durable here is not there yet for the next site. */
export function durableSource(journal: RequestSource & { readonly durable: RequestSource["appended"] }): RequestSource {
  return {
    get appended() {
      return journal.durable;
    },
    get retired() {
      return journal.retired;
    },
    head: (sequence) => journal.head(sequence),
    windowData: (sequence) => journal.windowData(sequence),
    readData: (sequence, firstBlock, blocks, into) => journal.readData(sequence, firstBlock, blocks, into),
  };
}
