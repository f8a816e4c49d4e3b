import { describe, expect, it } from "vitest";
import { arithmeticCases } from "../arithmetic.cases.ts";
import { plainArithmetic } from "../plain-arithmetic.ts";
import { isalArithmetic } from "./isal-arithmetic.ts";
import { linuxMemory } from "./linux-memory.ts";
import { linuxWorld } from "./linux-world.ts";

const memory = linuxMemory();
arithmeticCases("plain TypeScript", plainArithmetic, memory);

const isal = isalArithmetic(memory);
if (isal !== undefined) arithmeticCases("ISA-L", isal, memory);

describe("the world's arithmetic", () => {
  it("is ISA-L exactly where that is there and wanted", () => {
    expect(linuxWorld().accelerated).toBe(isal !== undefined);
    expect(linuxWorld({ isal: false }).arithmetic).toBe(plainArithmetic);
  });
});
