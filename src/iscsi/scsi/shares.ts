/**
 * What the hosts of a target share, and there is a bounded number of: where there is no more, it is that of the host with the
 * most that gives way. So one host may have all of it while no other wants any, and keeps none from getting its own.
 */

/**
 * @param items in the order in which they were made; none of them is one that can't give way
 * @param asking the host that wants one more, which counts as if it had it
 * @returns the oldest of the host that has the most; of several such hosts, the oldest of all
 */
export function toGiveWay<Item>(
  items: Iterable<Item>,
  hostOf: (item: Item) => string,
  asking: string,
): Item | undefined {
  const oldest = new Map<string, Item>();
  const counts = new Map([[asking, 1]]);
  for (const item of items) {
    const host = hostOf(item);
    counts.set(host, (counts.get(host) ?? 0) + 1);
    if (!oldest.has(host)) oldest.set(host, item);
  }
  let found: Item | undefined;
  let most = 0;
  for (const [host, item] of oldest) {
    const count = counts.get(host) ?? 0;
    if (count <= most) continue;
    most = count;
    found = item;
  }
  return found;
}
