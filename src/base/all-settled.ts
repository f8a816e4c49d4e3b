/** Waits for all, then rejects as the first that rejected: none may still use the caller's buffers by then. */
export async function allSettled(waits: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(waits)) if (result.status === "rejected") throw result.reason;
}
