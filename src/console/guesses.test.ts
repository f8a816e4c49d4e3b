import { beforeEach, describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { instant } from "../base/units.ts";
import { Guesses } from "./guesses.ts";

let now: number;
/** How many passwords were looked at. */
let looked: number;
let guesses: Guesses;

beforeEach(() => {
  now = 5000;
  looked = 0;
  const verify = async (name: string, password: string) => {
    looked++;
    if (name === "damaged") throw new OperatingError("users.damaged", "They are.", "None.");
    return name === "ada" && password === "lovelace";
  };
  guesses = new Guesses({ verify }, { now: () => instant(now) });
});

describe("guesses", () => {
  it("wait twice as long after each wrong one, up to a minute, until one is right", async () => {
    const waits: number[] = [];
    for (let at = 0; at < 9; at++) {
      expect(await guesses.verify("ada", `wrong ${at}`)).toEqual({ kind: "wrong" });
      waits.push(guesses.wait);
      now += guesses.wait;
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000));
    expect(await guesses.verify("ada", "lovelace")).toEqual({ kind: "right" });
    expect(guesses.wait).toBe(0);
    await guesses.verify("ada", "wrong again");
    expect(guesses.wait).toBe(1000);
  });

  it("that come too soon are not looked at, and make nothing longer", async () => {
    await guesses.verify("eve", "guess");
    now += 400;
    expect(await guesses.verify("ada", "lovelace")).toEqual({ kind: "too soon", wait: 600 });
    expect(looked).toBe(1);
    now += 600;
    expect(await guesses.verify("ada", "lovelace")).toEqual({ kind: "right" });
  });

  it("are looked at one after the other: of many at once only the first wrong one is", async () => {
    const verdicts = await Promise.all(Array.from({ length: 20 }, () => guesses.verify("eve", "guess")));
    expect(verdicts.map(({ kind }) => kind)).toEqual(["wrong", ...Array(19).fill("too soon")]);
    expect(looked).toBe(1);
  });

  it("of those who know the password do not disturb each other", async () => {
    const verdicts = await Promise.all(Array.from({ length: 8 }, () => guesses.verify("ada", "lovelace")));
    expect(verdicts.every(({ kind }) => kind === "right")).toBe(true);
  });

  it("that can't be looked at fail, and the next one is looked at in its turn", async () => {
    await expect(guesses.verify("damaged", "")).rejects.toMatchObject({ code: "users.damaged" });
    now += guesses.wait;
    expect(await guesses.verify("ada", "lovelace")).toEqual({ kind: "right" });
  });
});
