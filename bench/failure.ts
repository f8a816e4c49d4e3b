/** What stops a benchmark and is no bug of it: told in one message with its remedy, without a stack trace. */
export class BenchFailure extends Error {}

/** Waits until `condition` holds, which is asked every `pollMs`. @throws BenchFailure after `deadlineMs`, saying that `what` did not come about */
export async function until(
  what: string,
  deadlineMs: number,
  condition: () => boolean | Promise<boolean>,
  pollMs = POLL_MS,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new BenchFailure(`${what} not within ${deadlineMs / 1000} s.`);
    await Bun.sleep(pollMs);
  }
}

const POLL_MS = 20;
