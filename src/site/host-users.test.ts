import { expect, it } from "vitest";
import { chapOf } from "./host-users.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const CONFIG = {
  users: [
    { user: "ada", secret: "correct-horse" },
    { user: "db1", secret: "battery-staple", initiators: ["iqn.2026-11.example:db1"] },
  ],
  discovery: [{ user: "finder", secret: "only-for-this" }],
  mutual: { user: "denver", secret: "of-the-target" },
  algorithms: ["sha256" as const],
};

it("a user's secret is had by its initiators alone, or by all where none are named", () => {
  const { secretOf, mutual, algorithms } = chapOf(CONFIG);
  expect(secretOf("ada", "iqn.2026-11.example:any")).toEqual(bytes("correct-horse"));
  expect(secretOf("db1", "iqn.2026-11.example:db1")).toEqual(bytes("battery-staple"));
  expect(secretOf("db1", "iqn.2026-11.example:db10")).toBeUndefined();
  expect(secretOf("finder", "iqn.2026-11.example:any")).toBeUndefined();
  expect(secretOf("toString", "iqn.2026-11.example:any")).toBeUndefined();
  expect(mutual).toEqual({ user: "denver", secret: bytes("of-the-target") });
  expect(algorithms).toEqual(["sha256"]);
});

it("discovery has its own users where there are any, and the target's otherwise", () => {
  const own = chapOf(CONFIG, CONFIG.discovery);
  expect(own.secretOf("finder", "iqn.2026-11.example:any")).toEqual(bytes("only-for-this"));
  expect(own.secretOf("ada", "iqn.2026-11.example:any")).toBeUndefined();
  expect(chapOf(CONFIG, undefined).secretOf("ada", "iqn.2026-11.example:any")).toEqual(bytes("correct-horse"));
});
