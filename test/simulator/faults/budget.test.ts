import { describe, expect, it } from "vitest";
import { SimulatedSystem } from "../system.ts";
import { Budget } from "./budget.ts";

const ROWS = 32;

function budgetOf(isBeyond: boolean): { readonly system: SimulatedSystem; readonly budget: Budget } {
  const system = new SimulatedSystem(1, { legs: [["boulder"], ["pueblo"]] });
  return { system, budget: new Budget(system, system.universe.random, isBeyond) };
}

describe("rows that may be damaged", () => {
  it("are those of one site, until it says that they are not", () => {
    const { budget } = budgetOf(false);
    const claim = budget.claimRows("denver", 24, ROWS);
    expect(claim?.count).toBe(24);
    for (let attempt = 0; attempt < 20; attempt++) {
      const other = budget.claimRows("boulder", 1, ROWS);
      if (other === undefined || claim === undefined) throw new Error("8 rows are left for boulder");
      expect(other.first < claim.first || other.first >= claim.first + claim.count).toBe(true);
    }
    // Its own rows a site may damage again.
    expect(budget.claimRows("denver", 1, ROWS)).toBeDefined();
    claim?.settle([claim.first]);
    expect(budget.isRowDamaged("denver", claim?.first ?? 0)).toBe(true);
  });

  it("are fewer than wanted where there is no more room", () => {
    const { budget } = budgetOf(false);
    const rest = budget.claimRows("denver", 28, ROWS);
    expect(rest?.count).toBe(28);
    expect(budget.claimRows("boulder", 16, ROWS)?.count).toBeLessThanOrEqual(4);
    budget.claimRows("denver", ROWS, ROWS);
    expect(budget.claimRows("pueblo", ROWS, ROWS)?.count ?? 0).toBeLessThanOrEqual(4);
  });

  it("are any, beyond the budget", () => {
    const { budget } = budgetOf(true);
    expect(budget.claimRows("denver", ROWS, ROWS)?.count).toBe(ROWS);
    expect(budget.claimRows("boulder", ROWS, ROWS)?.count).toBe(ROWS);
  });
});

it("a member is damaged from the moment on when a request has met what damages it", async () => {
  const { system, budget } = budgetOf(false);
  const drive = system.universe.machine("denver").drive("/drive-1");
  const fault = drive.inject({ on: "write", action: "lose", times: 1 });
  budget.strike(drive, fault);
  expect(budget.isDamaged(drive)).toBe(false);
  await system.boot("denver");
  expect(fault.met).toBe(1);
  expect(budget.isDamaged(drive)).toBe(true);
});
