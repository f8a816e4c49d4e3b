/** Initiators that others wrote log in by CHAP, and don't get in without it. */

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { tool } from "./initiator.ts";
import { alone, type Config, HOST, IQN, put } from "./sites.ts";
import { freePorts, type Running, Workbench } from "./workbench.ts";

const SECRET = "correct-horse-battery";
const FINDER = "only-for-discovery";
const OWN = "staple-of-denver";

let bench: Workbench;
let site: Running;
let port: number;

beforeAll(async () => {
  bench = new Workbench();
  [port] = await freePorts(1);
  const config = alone({ port });
  const chap = {
    users: [
      { user: "ada", secret: SECRET },
      { user: "db1", secret: SECRET, initiators: ["iqn.2026-11.example:db1"] },
    ],
    mutual: { user: "denver", secret: OWN },
    discovery: [{ user: "finder", secret: FINDER }],
  };
  site = await bench.serve(put(bench, { ...config, target: { ...(config.target as Config), chap } }));
});
afterAll(() => bench.close());

const login = (as: string) => `iscsi://${as}${HOST}:${port}/${IQN}/0`;
const inquiry = (as: string, query = "") => bench.run("iscsi-inq", [login(as) + query]);

it("lists the target to iscsi-ls with a user of discovery's, and to nobody else", async () => {
  const list = (as: string) => bench.run("iscsi-ls", [`iscsi://${as}${HOST}:${port}`]);
  expect((await list(`finder%${FINDER}@`)).text).toContain(`Target:${IQN} Portal:${HOST}:${port},1`);
  for (const as of ["", "finder%not-this-secret@", `ada%${SECRET}@`]) {
    const refused = await list(as);
    expect(refused.code, refused.text).not.toBe(0);
    expect(refused.text).not.toContain(IQN);
  }
});

it("serves who proves to be a user", async () => {
  expect(await tool(bench, "iscsi-inq", login(`ada%${SECRET}@`))).toContain("Vendor:ANTIPODE");
  expect(await tool(bench, "iscsi-inq", "-i", "iqn.2026-11.example:db1", login(`db1%${SECRET}@`))).toContain(
    "ANTIPODE",
  );
  await site.says(/iscsi-inq logged in from [^ ]+ as the user .*ada/);
  expect(await tool(bench, "qemu-img", "info", login(`ada%${SECRET}@`))).toContain("virtual size");
});

it("refuses who does not, and says who and why without a secret", async () => {
  for (const as of ["", "ada%not-this-secret@", `bob%${SECRET}@`, `db1%${SECRET}@`]) {
    const refused = await inquiry(as);
    expect(refused.code, refused.text).not.toBe(0);
    expect(refused.text).not.toContain("ANTIPODE");
  }
  await site.says(/failed with status 201: its response as the user .*ada.* is wrong/);
  await site.says("it skips CHAP, which is required");
  await site.says("a user that is not known here, or not for this initiator");
});

it("proves to an initiator that asks for it who it is", async () => {
  const proven = await inquiry(`ada%${SECRET}@`, `?target_user=denver&target_password=${OWN}`);
  expect(proven.text).toContain("Vendor:ANTIPODE");
  const doubted = await inquiry(`ada%${SECRET}@`, "?target_user=denver&target_password=not-this-secret");
  expect(doubted.code, doubted.text).not.toBe(0);
  expect(doubted.text).not.toContain("ANTIPODE");
});

it("shows no secret anywhere, though all of them are in its configuration", async () => {
  const told = await bench.antipode("ctl", "--socket", bench.path("alone.sock"), "--json", "show", "status");
  expect(told.code, told.text).toBe(0);
  expect(readFileSync(bench.path("alone.yaml"), "utf8")).toContain(OWN);
  for (const secret of [SECRET, FINDER, OWN]) expect(site.text + told.text).not.toContain(secret);
});
