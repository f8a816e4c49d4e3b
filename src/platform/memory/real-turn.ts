/** The two things that the simulated world needs of the real event loop. Neither tells it anything. */

// biome-ignore lint/style/noRestrictedImports: nothing in a World can tell when all microtasks have run
export { drainMicrotasks } from "bun:jsc";

/** Gives a test runner in the same process its turn. */
export function realTurn(): Promise<void> {
  // biome-ignore lint/style/noRestrictedGlobals: the World's timers are simulated, and the test runner's are not
  return new Promise((resolve) => setImmediate(resolve));
}
