/**
 * A fault point: what a test's hook decides about one write to a drive or one send to a peer, so that it can end a
 * machine exactly before or after its Nth one.
 */

/** `before`: the operation never starts. `after`: it takes place, and its caller is not told. */
export type Verdict = "continue" | "crash-before" | "crash-after" | "kill-before" | "kill-after";

/** What a verdict is carried out on: the machine that the operation belongs to. */
export interface Victim {
  /** Cuts its power. */
  crash(): void;
  /** Ends its process; the machine stays. */
  kill(): void;
}

/**
 * @param act does what the operation does, for a verdict that ends the machine after it
 * @returns whether the operation goes on as usual
 */
export function carryOut(verdict: Verdict, victim: Victim, act: () => void): boolean {
  if (verdict === "continue") return true;
  if (verdict === "crash-after" || verdict === "kill-after") act();
  if (verdict === "crash-before" || verdict === "crash-after") victim.crash();
  else victim.kill();
  return false;
}
