/** Whether a history of one register can be put in an order, by trying all of them: what the checker is tested with. */

export interface Operation {
  readonly kind: "read" | "write";
  /** What it wrote, or what it returned; 0 is the content at the beginning. */
  value: number;
  readonly begin: number;
  /** The last moment at which it may have taken effect; infinite if that is not known. */
  end: number;
  /** Whether it took effect for certain: an acknowledged write, an answered read. */
  sure: boolean;
}

/** Takes time exponential in the number of operations: for ten or so. */
export function isLinearizable(history: readonly Operation[]): boolean {
  const done = new Set<Operation>();
  const seen = new Set<string>();
  const search = (value: number): boolean => {
    if (history.every((one) => done.has(one) || !one.sure)) return true;
    const key = `${value}:${history.map((one) => (done.has(one) ? 1 : 0)).join("")}`;
    if (seen.has(key)) return false;
    seen.add(key);
    for (const next of history) {
      if (done.has(next)) continue;
      // Whatever must have been done before this one began is not left for later.
      if (history.some((one) => !done.has(one) && one !== next && one.sure && one.end < next.begin)) continue;
      if (next.kind === "read" && (!next.sure || next.value !== value)) continue;
      // Nor may it be done after something that began when it was over.
      if (history.some((one) => done.has(one) && one.begin > next.end)) continue;
      done.add(next);
      if (search(next.kind === "write" ? next.value : value)) return true;
      done.delete(next);
    }
    return false;
  };
  return search(0);
}
