/**
 * Events of the simulated world in the order in which they happen: by time, then by a random tie-break, then by
 * the order in which they were made. A cancelled event stays in its place without effect until it comes up, or until
 * such events fill half of the queue.
 */

import type { Process } from "./process.ts";

export interface SimulatedEvent {
  /** Virtual milliseconds. */
  readonly time: number;
  readonly tie: number;
  readonly order: number;
  /** What happens, for the trace. */
  readonly what: string;
  /** The process that it happens to; absent for what drives, the network and tests do. */
  readonly process: Process | undefined;
  /** Absent once it has happened or was cancelled. */
  run: (() => void) | undefined;
}

/** Below this many events a sweep of cancelled ones is not worth its time. */
const SWEEP_EVENTS_MIN = 64;

function before(a: SimulatedEvent, b: SimulatedEvent): boolean {
  if (a.time !== b.time) return a.time < b.time;
  if (a.tie !== b.tie) return a.tie < b.tie;
  return a.order < b.order;
}

export class EventQueue {
  #heap: SimulatedEvent[] = [];
  #cancelled = 0;

  /** Events to come, without cancelled ones. */
  get length(): number {
    return this.#heap.length - this.#cancelled;
  }

  push(event: SimulatedEvent): void {
    this.#heap.push(event);
    this.#up(this.#heap.length - 1);
  }

  cancel(event: SimulatedEvent): void {
    if (event.run === undefined) return;
    event.run = undefined;
    this.#cancelled++;
    if (this.#heap.length >= SWEEP_EVENTS_MIN && this.#cancelled * 2 > this.#heap.length) this.#sweep();
  }

  /** The event that happens next, left where it is. */
  peek(): SimulatedEvent | undefined {
    while (this.#heap.length > 0 && this.#heap[0].run === undefined) {
      this.#removeFirst();
      this.#cancelled--;
    }
    return this.#heap[0];
  }

  pop(): SimulatedEvent | undefined {
    const first = this.peek();
    if (first !== undefined) this.#removeFirst();
    return first;
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#down(0);
  }

  #sweep(): void {
    this.#heap = this.#heap.filter((event) => event.run !== undefined);
    this.#cancelled = 0;
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at--) this.#down(at);
  }

  #up(from: number): void {
    const heap = this.#heap;
    const event = heap[from];
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = event;
  }

  #down(from: number): void {
    const heap = this.#heap;
    const event = heap[from];
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], event)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = event;
  }
}
