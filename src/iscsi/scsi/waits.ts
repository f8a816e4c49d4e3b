/** How long a command waits for work that is no work of its device: until it is aborted, at the most. */

/**
 * Resolves as the work does, or once the signal is aborted. What has begun goes on: its command, and with it its session, may
 * end before. Two commands that wait for each other's end would otherwise do so for ever.
 */
export async function whileWaitedFor(signal: AbortSignal, work: Promise<void>): Promise<void> {
  let end = () => {};
  const aborted = new Promise<void>((resolve) => {
    end = resolve;
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", end);
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    // The signal may serve other commands after this one.
    signal.removeEventListener("abort", end);
  }
}
