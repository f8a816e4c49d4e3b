/** Medians of few and noisy figures. Never a mean: one disturbed round would move it. */

/** @param values in any order; not empty */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error("there is no median of nothing");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * The median of the ratios of each round's pair. What disturbs the machine for longer than one pair then weighs on both
 * sides of a ratio, which it would not on two medians.
 */
export function medianRatio(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length) throw new Error(`${ours.length} figures do not pair with ${theirs.length}`);
  return median(ours.map((value, round) => value / theirs[round]));
}

/** How far apart the rounds are: the largest distance from the median as a share of it. */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  return Math.max(...values.map((value) => Math.abs(value - middle))) / middle;
}
