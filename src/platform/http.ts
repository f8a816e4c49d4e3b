/**
 * Answering HTTP requests. A body is handed over part by part as it comes, and is not kept: a handler that is slow to take
 * it slows the peer. So is an answer: its parts are asked for as the peer takes them.
 */

import type { Address, Listener } from "./network.ts";

export interface HttpRequest {
  readonly method: string;
  /** Without a query. */
  readonly path: string;
  /** The peer, for messages to people. */
  readonly remote: string;
  /** @param name in lower case */
  header(name: string): string | undefined;
  /** May be read once, or not at all. Rejects with `network.broken-off` where the peer goes away or falls silent. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | AsyncIterable<string>;
}

/** A rejection is a bug, and ends the process. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpAnswer>;

/** In PEM. */
export interface HttpIdentity {
  readonly key: string;
  readonly certificate: string;
}

export interface Http {
  /**
   * @param identity with it, HTTPS is spoken and nothing else
   * Rejects with `network.busy` or `network.denied` where the address can't be bound, or with `network.identity`.
   */
  serve(address: Address, handler: HttpHandler, identity?: HttpIdentity): Promise<Listener>;
}
