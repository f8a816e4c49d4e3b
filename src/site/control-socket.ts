/**
 * The local socket that `antipode ctl` speaks to: one question a connection, as a line of JSON, answered by lines of
 * JSON: any number of `progress`, then one `result` or `error`.
 */

import { OperatingError } from "../base/operating-error.ts";
import type { Connection, ConnectionHandlers, Listener } from "../platform/network.ts";
import { type Progress, runCommand } from "./commands.ts";
import type { Site } from "./site.ts";

export interface ControlQuestion {
  readonly words: readonly string[];
}

export type ControlAnswer =
  | ({ readonly kind: "progress" } & Progress)
  | { readonly kind: "result"; readonly value: unknown; readonly text: string; readonly exitCode: number }
  | { readonly kind: "error"; readonly code: string; readonly what: string; readonly remedy: string };

/** A question longer than this is none of ours. */
const QUESTION_BYTES_MAX = 64 * 1024;
/** Progress that the asker does not take is dropped; its answer is not. */
const UNSENT_BYTES_MAX = 64 * 1024;

export function listenForControl(site: Site): Promise<Listener> {
  const path = site.config.control.socket;
  return site.world.network.listen({ path }, (connection) => converse(site, connection));
}

function converse(site: Site, connection: Connection): ConnectionHandlers {
  const decoder = new TextDecoder();
  const output = new Output(connection);
  let received = "";
  let asked = false;
  const answer = (line: ControlAnswer) => output.send(line);
  return {
    onData: (bytes) => {
      if (asked) return;
      received += decoder.decode(bytes, { stream: true });
      const end = received.indexOf("\n");
      if (end < 0 && received.length < QUESTION_BYTES_MAX) return;
      asked = true;
      ask(site, end < 0 ? "" : received.slice(0, end), answer).finally(() => output.end());
    },
    onDrain: () => output.drain(),
    onClose: () => output.abandon(),
  };
}

async function ask(site: Site, line: string, answer: (line: ControlAnswer) => void): Promise<void> {
  try {
    const result = await runCommand(site, parseQuestion(line).words, (progress) =>
      answer({ kind: "progress", ...progress }),
    );
    answer({ kind: "result", ...result });
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    answer({ kind: "error", code: error.code, what: error.what, remedy: error.remedy });
  }
}

function parseQuestion(line: string): ControlQuestion {
  try {
    const { words }: { words?: unknown } = JSON.parse(line);
    if (Array.isArray(words) && words.every((word) => typeof word === "string")) return { words };
  } catch {
    // Told below, like every other question that is not one.
  }
  throw new OperatingError(
    "control.malformed",
    "The question on the control socket is not a line of JSON with words.",
    "Use antipode ctl of the same version.",
  );
}

/** Lines on their way to an asker who may read slowly, or not at all. */
class Output {
  readonly #connection: Connection;
  readonly #encoder = new TextEncoder();
  #unsent: Uint8Array = new Uint8Array(0);
  #ended = false;
  #abandoned = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  send(line: ControlAnswer): void {
    if (this.#abandoned || (line.kind === "progress" && this.#unsent.length > UNSENT_BYTES_MAX)) return;
    const bytes = this.#encoder.encode(`${JSON.stringify(line)}\n`);
    const joined = new Uint8Array(this.#unsent.length + bytes.length);
    joined.set(this.#unsent);
    joined.set(bytes, this.#unsent.length);
    this.#unsent = joined;
    this.drain();
  }

  drain(): void {
    if (this.#abandoned) return;
    if (this.#unsent.length > 0) this.#unsent = this.#unsent.subarray(this.#connection.write(this.#unsent));
    if (this.#ended && this.#unsent.length === 0) this.#connection.close();
  }

  end(): void {
    this.#ended = true;
    this.drain();
  }

  abandon(): void {
    this.#abandoned = true;
  }
}
