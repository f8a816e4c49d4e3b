/** HTTP by Bun's own server. A peer that neither sends nor takes anything for `SILENCE` is left. */

import { assert } from "../../base/assert.ts";
import { OperatingError } from "../../base/operating-error.ts";
import type { Http, HttpAnswer, HttpHandler, HttpIdentity, HttpRequest } from "../http.ts";
import { type Address, formatAddress } from "../network.ts";
import { cannotListen, reportUncaught } from "./linux-network.ts";

/** Seconds, as Bun counts them. */
const SILENCE = 30;
/** Handlers know what their requests may have, and say so better than the runtime does. */
const BODY_BYTES_MAX = Number.MAX_SAFE_INTEGER;

type Server = Bun.Server<undefined>;

export function linuxHttp(silence = SILENCE): Http {
  return {
    async serve(address, handler, identity) {
      assert("port" in address, "HTTP is served at TCP addresses");
      const server = bind(address, handler, identity, silence);
      return { address: { host: address.host, port: server.port ?? address.port }, close: () => server.stop() };
    },
  };
}

function bind(
  address: Extract<Address, { readonly port: number }>,
  handler: HttpHandler,
  identity: HttpIdentity | undefined,
  silence: number,
): Server {
  try {
    return Bun.serve({
      hostname: address.host,
      port: address.port,
      tls: identity && { key: identity.key, cert: identity.certificate },
      idleTimeout: silence,
      development: false,
      // Outside development Bun would share the address with another process that has it.
      reusePort: false,
      maxRequestBodySize: BODY_BYTES_MAX,
      fetch: async (request, server) => toResponse(await handler(toRequest(request, server))),
      error(error) {
        reportUncaught(error);
        return new Response(null, { status: 500 });
      },
    });
  } catch (cause) {
    // BoringSSL's words are of no use to anybody.
    if (!(cause instanceof Error && "code" in cause && String(cause.code).startsWith("ERR_OSSL"))) {
      throw cannotListen(address, cause);
    }
    throw new OperatingError(
      "network.identity",
      `The key and certificate for ${formatAddress(address)} are no such, or do not belong together.`,
      "Give the private key and the certificate that was made for it, each in PEM.",
      { cause },
    );
  }
}

function toRequest(request: Request, server: Server): HttpRequest {
  const peer = server.requestIP(request);
  return {
    method: request.method,
    path: new URL(request.url).pathname,
    remote: peer === null ? "a peer that is gone" : formatAddress({ host: peer.address, port: peer.port }),
    header: (name) => request.headers.get(name) ?? undefined,
    body: bodyOf(request, server),
  };
}

async function* bodyOf(request: Request, server: Server): AsyncGenerator<Uint8Array> {
  if (request.body !== null) {
    try {
      for await (const part of request.body) yield part;
    } catch (cause) {
      throw new OperatingError(
        "network.broken-off",
        "What was being sent broke off before its end.",
        "Check the network between, and send it again.",
        { cause },
      );
    }
  }
  // From here on it is for us to answer, however long that takes.
  server.timeout(request, 0);
}

function toResponse({ status, headers, body }: HttpAnswer): Response {
  return new Response(typeof body === "string" ? body : encoded(body), { status, headers });
}

function encoded(text: AsyncIterable<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const parts = text[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await parts.return?.();
    },
  });
}
