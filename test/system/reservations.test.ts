/** Persistent reservations of hosts outlive a site that is killed, where its configuration says where to keep them. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { alone, HOST, IQN, put } from "../conformance/sites.ts";
import { freePorts, type Running, Workbench } from "../conformance/workbench.ts";
import { ScsiInitiator } from "./scsi-initiator.ts";

const A = { name: "iqn.2026-11.dev.antipode:a", isid: 0x80000001 };
const B = { name: "iqn.2026-11.dev.antipode:b", isid: 0x80000001 };
const KEY = [0xc0, 1, 2, 3, 4, 5, 6, 7];
const WRITE_EXCLUSIVE = 1;
const CONFLICT = 0x18;
const APTPL = 1;

const WRITE_10 = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/** Keys are bytes; `flags` are those of byte 20. */
function parameters(key: readonly number[], actionKey: readonly number[], flags = 0): Uint8Array {
  return Uint8Array.from([...key, ...actionKey, 0, 0, 0, 0, flags, 0, 0, 0]);
}

function reserveOut(action: number, type = 0): readonly number[] {
  return [0x5f, action, type, 0, 0, 0, 0, 0, 24, 0];
}

describe("a site that keeps reservations", () => {
  let bench: Workbench;
  let site: Running;
  let port: number;
  let file: string;
  const none = new Array<number>(8).fill(0);
  const login = (who: typeof A) => ScsiInitiator.login(port, IQN, who);
  const start = async () => {
    site = await bench.serve(file);
  };
  const writes = async (host: ScsiInitiator) => (await host.command(WRITE_10, { data: new Uint8Array(512) })).status;

  beforeAll(async () => {
    bench = new Workbench();
    [port] = await freePorts(1);
    const target = { iqn: IQN, listen: [`${HOST}:${port}`], reservations: "kept/reservations" };
    file = put(bench, { ...alone({ port }), target });
    await start();
  });
  afterAll(() => bench.close());

  it("has them again after kill -9, for the same initiator port, as soon as it serves", async () => {
    const a = await login(A);
    expect((await a.command(reserveOut(0x06), { data: parameters(none, KEY, APTPL) })).status).toBe(0);
    expect((await a.command(reserveOut(0x01, WRITE_EXCLUSIVE), { data: parameters(KEY, none) })).status).toBe(0);
    await site.stop("SIGKILL");
    a.close();
    await start();
    const b = await login(B);
    expect(await writes(b)).toBe(CONFLICT);
    const { data } = await b.command([0x5e, 0x01, 0, 0, 0, 0, 0, 0, 24, 0], { read: 24 });
    expect([...data.subarray(8, 16)]).toEqual(KEY);
    const { stdout } = await bench.antipode("ctl", "--dir", ".", "show", "reservations");
    expect(stdout).toMatch(
      /LUN 0\): write exclusive, kept over a restart\n {2}c001020304050607 .*antipode:a,i,0x.*, holds it\n/,
    );
    const again = await login(A);
    expect(await writes(again)).toBe(0);
    expect((await again.command(reserveOut(0x03), { data: parameters(KEY, none) })).status).toBe(0);
    expect(readdirSync(bench.path("kept/reservations"))).toEqual([]);
    expect(await writes(b)).toBe(0);
    b.close();
    again.close();
  });

  it("does not start where what it kept is damaged, and says what to do", async () => {
    const a = await login(A);
    expect((await a.command(reserveOut(0x06), { data: parameters(none, KEY, APTPL) })).status).toBe(0);
    a.close();
    expect(await site.stop()).toBe(0);
    const [name] = readdirSync(bench.path("kept/reservations"));
    const path = bench.path(`kept/reservations/${name}`);
    writeFileSync(path, readFileSync(path, "utf8").replace('"key":"c', '"key":"d'));
    const { code, text } = await bench.antipode("serve", file);
    expect(code).toBe(3);
    expect(text).toContain("site.reservations-damaged");
    expect(text).toContain(path);
  });
});
