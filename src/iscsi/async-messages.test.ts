/** What a target tells without being asked, RFC 7143 section 11.9. */

import { expect, test } from "vitest";
import { crc32c } from "./testing/crc32c.ts";
import { bench, build, INITIATOR, Initiator, type Pdu, TARGET } from "./testing/initiator.ts";

/** Event and its three parameters. */
const message = ({ header }: Pdu) => [
  header.getUint8(36),
  header.getUint16(38),
  header.getUint16(40),
  header.getUint16(42),
];

async function pair(crc = false) {
  const world = bench({ crc32c });
  const one = await new Initiator(world).ready("MaxConnections=2");
  const two = one.beside(7);
  await two.login(...(crc ? ["HeaderDigest=CRC32C"] : []));
  return { world, one, two };
}

const logout = (on: Initiator) => build(0x06, { flags: 0x80, itt: 900, words: { 24: on.cmdSN++ } });

test("initiators that are asked to log out are, on every connection, and have their time for it", async () => {
  const { world, one, two } = await pair();
  const other = await new Initiator(world, { name: "iqn.other", isid: 1 << 8 }).ready();
  let done = false;
  const leaving = world.server.logOut(TARGET, 5, "maintenance", INITIATOR).then(() => {
    done = true;
  });
  await world.timers.turn();
  for (const on of [one, two]) {
    const [pdu] = on.receive();
    expect([pdu.opcode, pdu.header.getUint32(16), ...message(pdu)]).toEqual([0x32, 0xffffffff, 1, 0, 0, 5]);
    // It has a StatSN of its own: the next answer has the next one.
    const statSN = pdu.header.getUint32(24);
    await on.send(on.command([0, 0, 0, 0, 0, 0]));
    expect(on.receive()[0].header.getUint32(24)).toBe(statSN + 1);
  }
  expect(other.receive()).toEqual([]);
  await one.send(logout(one));
  await leaving;
  expect(done).toBe(true);
  world.timers.advance(5000);
  expect(world.server.sessions().map(({ initiatorName }) => initiatorName)).toEqual(["iqn.other"]);
});

test("those that do not log out are told that their session is dropped", async () => {
  const { world, one, two } = await pair();
  const leaving = world.server.logOut(TARGET, 5, "maintenance");
  await world.timers.turn();
  world.timers.advance(4999);
  expect(world.server.sessions().length).toBe(1);
  world.timers.advance(1);
  await world.timers.turn();
  await leaving;
  expect(one.receive().map(message)).toEqual([
    [1, 0, 0, 5],
    [3, 0, 2, 20],
  ]);
  expect([one.transport.closed, two.transport.closed]).toEqual(["closed", "closed"]);
  expect(world.events).toContain("session-closed: maintenance");
});

test("a connection that the target gives up is told of on another", async () => {
  const { world, one, two } = await pair(true);
  const pdu = build(0x00, { words: { 20: 0xffffffff, 24: two.cmdSN }, crc: { header: () => 1 } });
  await two.send(pdu);
  await world.timers.turn();
  expect(two.transport.closed).toBe("aborted");
  expect(one.receive().map(message)).toEqual([[2, 7, 2, 20]]);
  await one.send(one.command([0, 0, 0, 0, 0, 0]));
  expect(one.receive().length).toBe(1);
});
