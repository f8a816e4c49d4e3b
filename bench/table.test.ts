import { describe, expect, it } from "vitest";
import { figure, table } from "./table.ts";

describe("table", () => {
  it("aligns its columns", () => {
    const rows = [
      { name: "read", rate: 12_345.6 },
      { name: "write", rate: 1.234 },
    ];
    const text = table(
      [
        { title: "case", align: "left", text: ({ name }) => name },
        { title: "rate", align: "right", text: ({ rate }) => figure(rate) },
      ],
      rows,
    );
    expect(text).toBe(["| case  |  rate |", "| ----- | ----: |", "| read  | 12346 |", "| write |  1.23 |"].join("\n"));
  });
});
