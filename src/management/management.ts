/**
 * What an appliance answers over HTTP: how its firmware is, and an update that is sent to it.
 *
 * Nothing is told or taken unless a user's password comes with it, the same as on the console. Errors are JSON with code, what
 * happened and what to do, under the status code that comes nearest.
 */

import { OperatingError } from "../base/operating-error.ts";
import type { Millis } from "../base/units.ts";
import type { Firmware } from "../firmware/firmware.ts";
import type { HttpAnswer, HttpRequest } from "../platform/http.ts";
import { answerError, answerJson, answerLines } from "./answer.ts";
import { UPDATE_BYTES_MAX, type Upload } from "./upload.ts";

/** Whose passwords are believed, and what wrong ones cost. */
export interface Credentials {
  verify(
    name: string,
    password: string,
  ): Promise<
    { readonly kind: "right" } | { readonly kind: "wrong" } | { readonly kind: "too soon"; readonly wait: Millis }
  >;
}

type Route = (request: HttpRequest, user: string) => Promise<HttpAnswer>;

/** RFC 7617. */
const CHALLENGE = 'Basic realm="antipode", charset="UTF-8"';

export class Management {
  readonly #routes: Readonly<Record<string, Readonly<Record<string, Route>>>>;

  constructor(
    private readonly credentials: Credentials,
    private readonly firmware: Pick<Firmware, "status">,
    private readonly upload: Upload,
    /** Is told what happens, in sentences for the log; never a password. */
    private readonly onEvent: (text: string) => void,
  ) {
    this.#routes = {
      "/firmware": {
        GET: () => this.#status(),
        PUT: (request, user) => this.#update(request, user),
      },
    };
  }

  readonly answer = async (request: HttpRequest): Promise<HttpAnswer> => {
    try {
      const entry = await this.#logIn(request);
      return typeof entry === "string" ? await this.#route(request)(request, entry) : entry;
    } catch (error) {
      return answerError(error);
    }
  };

  /** @returns the user, or how who is none is refused */
  async #logIn({ header, remote }: HttpRequest): Promise<string | HttpAnswer> {
    const given = credentialsOf(header("authorization"));
    if (given === undefined) return refusePassword("No name and password came with the request.");
    const verdict = await this.credentials.verify(given.name, given.password);
    switch (verdict.kind) {
      case "right":
        return given.name;
      case "wrong":
        this.onEvent(`a request as ${JSON.stringify(given.name.slice(0, 64))} from ${remote} was refused`);
        return refusePassword("That is not a user's name and password.");
      case "too soon": {
        const seconds = Math.ceil(verdict.wait / 1000);
        const error = new OperatingError(
          "management.wait",
          "There were wrong passwords before.",
          `Try again in ${seconds} s.`,
        );
        return answerError(error, { "retry-after": String(seconds) });
      }
    }
  }

  #route({ method, path }: HttpRequest): Route {
    const methods = Object.hasOwn(this.#routes, path) ? this.#routes[path] : undefined;
    if (methods === undefined) {
      const known = Object.keys(this.#routes).join(", ");
      throw new OperatingError("management.unknown", `There is no ${path} here.`, `There is ${known}.`);
    }
    if (Object.hasOwn(methods, method)) return methods[method];
    const allowed = Object.keys(methods).join(", ");
    throw new OperatingError("management.method", `${path} has no ${method}.`, `It has ${allowed}.`);
  }

  async #status(): Promise<HttpAnswer> {
    return answerJson({ ...(await this.firmware.status()), upload: this.upload.view });
  }

  async #update(request: HttpRequest, user: string): Promise<HttpAnswer> {
    const bytes = lengthOf(request.header("content-length"));
    this.onEvent(`${user} sends an update of ${bytes} bytes from ${request.remote}`);
    const lines = await this.upload.take(request.body, bytes);
    return answerLines(lines);
  }
}

function refusePassword(what: string): HttpAnswer {
  const remedy = "Give those of a user of the console; the first one's password is chosen there.";
  return answerError(new OperatingError("management.password", what, remedy), { "www-authenticate": CHALLENGE });
}

function credentialsOf(header: string | undefined): { readonly name: string; readonly password: string } | undefined {
  const [, encoded] = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header ?? "") ?? [];
  if (encoded === undefined) return undefined;
  try {
    const text = new TextDecoder().decode(Uint8Array.fromBase64(encoded));
    const colon = text.indexOf(":");
    return colon < 0 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Throws `management.length` or `management.too-large`. */
function lengthOf(header: string | undefined): number {
  if (header === undefined || !/^\d{1,15}$/.test(header)) {
    throw new OperatingError(
      "management.length",
      "The request does not say how long the update is.",
      "Send a file, with Content-Length: curl --upload-file FILE does.",
    );
  }
  const bytes = Number(header);
  if (bytes <= UPDATE_BYTES_MAX) return bytes;
  throw new OperatingError(
    "management.too-large",
    `What was to be sent has ${bytes} bytes, and no update has more than ${UPDATE_BYTES_MAX}.`,
    "Send an antipode-VERSION.update file.",
  );
}
