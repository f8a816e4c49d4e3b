import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { isOperatingError } from "../../base/operating-error.ts";
import type { HttpAnswer, HttpHandler, HttpIdentity } from "../http.ts";
import type { Listener } from "../network.ts";
import { linuxHttp } from "./linux-http.ts";
import { makeIdentity } from "./tls-fixture.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
/** Seconds. */
const SILENCE = 1;

let listener: Listener | undefined;
afterEach(() => listener?.close());

const plain = (body: HttpAnswer["body"], status = 200): HttpAnswer => ({
  status,
  headers: { "content-type": "text/plain" },
  body,
});

/** @returns the port */
async function serve(handler: HttpHandler, identity?: HttpIdentity): Promise<number> {
  listener = await linuxHttp(SILENCE).serve(LOOPBACK, handler, identity);
  const { address } = listener;
  return "port" in address ? address.port : 0;
}

describe("HTTP on Linux", () => {
  it("hands over what a request is, and answers it", async () => {
    const port = await serve(async (request) => {
      let bytes = 0;
      for await (const part of request.body) bytes += part.length;
      const { method, path, remote } = request;
      return plain(`${method} ${path} ${request.header("x-kind")} ${request.header("x-none")} ${bytes} ${remote}`, 207);
    });
    const body = new Uint8Array(3_000_000);
    const answer = await fetch(`http://127.0.0.1:${port}/a/b?c=d`, { method: "PUT", body, headers: { "X-Kind": "e" } });
    expect(answer.status).toBe(207);
    expect(answer.headers.get("content-type")).toBe("text/plain");
    expect(await answer.text()).toMatch(/^PUT \/a\/b e undefined 3000000 127\.0\.0\.1:\d+$/);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toContain("GET / undefined undefined 0");
  });

  it("answers without taking the body, and part by part", async () => {
    let ended = false;
    async function* parts() {
      try {
        for (let at = 0; ; at++) yield `part ${at}\n`;
      } finally {
        ended = true;
      }
    }
    const port = await serve(async () => plain(parts(), 401));
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "PUT", body: new Uint8Array(50_000_000) });
    expect(answer.status).toBe(401);
    const reader = answer.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toMatch(/^part 0\n/);
    await reader?.cancel();
    await expect.poll(() => ended).toBe(true);
  });

  it.each(["goes away", "falls silent"])("ends the body of a peer that %s", async (how) => {
    const codes: string[] = [];
    const port = await serve(async ({ body }) => {
      try {
        for await (const part of body) expect(part.length).toBeLessThan(100);
      } catch (error) {
        codes.push(isOperatingError(error) ? error.code : "bug");
      }
      return plain("never seen");
    });
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nthe first part", () => {
      if (how === "goes away") socket.destroy();
    });
    await expect.poll(() => codes, { timeout: 15_000 }).toEqual(["network.broken-off"]);
    socket.destroy();
  });

  it("speaks TLS with a key and its certificate, and says what is wrong with others", async () => {
    const { key, certificate } = makeIdentity();
    const port = await serve(async () => plain("secret"), { key, certificate });
    const answer = await fetch(`https://127.0.0.1:${port}/`, { tls: { rejectUnauthorized: false } });
    expect(await answer.text()).toBe("secret");
    for (const identity of [
      { key: makeIdentity().key, certificate },
      { key: certificate, certificate: key },
      { key: "", certificate: "nonsense" },
    ]) {
      await expect(linuxHttp().serve(LOOPBACK, async () => plain(""), identity)).rejects.toMatchObject({
        code: "network.identity",
      });
    }
  });

  it("says why an address can't be bound", async () => {
    const port = await serve(async () => plain(""));
    const again = linuxHttp().serve({ host: "127.0.0.1", port }, async () => plain(""));
    await expect(again).rejects.toMatchObject({ code: "network.busy" });
    const foreign = linuxHttp().serve({ host: "203.0.113.7", port: 0 }, async () => plain(""));
    await expect(foreign).rejects.toMatchObject({ code: "network.denied" });
  });
});
