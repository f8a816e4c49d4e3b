/** How what is answered looks in HTTP: JSON, and for each error the status code that comes nearest to it. */

import { OperatingError } from "../base/operating-error.ts";
import type { HttpAnswer } from "../platform/http.ts";
import type { Lines } from "./lines.ts";

/** Nothing of what is answered is true for long. */
const HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

const STATUS: Readonly<Record<string, number>> = {
  "management.password": 401,
  "management.unknown": 404,
  "management.method": 405,
  "network.broken-off": 408,
  "management.slow": 408,
  "management.busy": 409,
  "firmware.busy": 409,
  "firmware.not-good": 409,
  "firmware.running": 409,
  "management.length": 411,
  "management.too-large": 413,
  "management.wait": 429,
  "management.no-room": 507,
  "firmware.no-room": 507,
  "firmware.keys": 500,
  "firmware.not-started-here": 500,
  "firmware.twice": 500,
  "firmware.unwritten": 500,
};

/** Of all that is wrong with an update itself. */
const UNPROCESSABLE = 422;

export function answerJson(value: unknown): HttpAnswer {
  return {
    status: 200,
    headers: { ...HEADERS, "content-type": "application/json" },
    body: `${JSON.stringify(value)}\n`,
  };
}

export function answerLines(lines: Lines): HttpAnswer {
  return { status: 200, headers: { ...HEADERS, "content-type": "application/x-ndjson" }, body: lines };
}

/** Throws what is no `OperatingError`. */
export function answerError(error: unknown, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  if (!(error instanceof OperatingError)) throw error;
  const status = STATUS[error.code] ?? (error.code.startsWith("firmware.") ? UNPROCESSABLE : 500);
  const answer = answerJson(describe(error));
  return { ...answer, status, headers: { ...answer.headers, ...headers } };
}

export function describe({ code, what, remedy }: OperatingError): {
  readonly code: string;
  readonly what: string;
  readonly remedy: string;
} {
  return { code, what, remedy };
}
