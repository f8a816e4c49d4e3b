/** Rows of text as a Markdown table, aligned so that it also reads well on a terminal. */

export interface Column<Row> {
  readonly title: string;
  readonly align: "left" | "right";
  readonly text: (row: Row) => string;
}

export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => column.text(row)));
  const widths = columns.map(({ title }, at) => Math.max(3, title.length, ...cells.map((row) => row[at].length)));
  const line = (texts: readonly string[]) =>
    `| ${texts.map((text, at) => (columns[at].align === "left" ? text.padEnd(widths[at]) : text.padStart(widths[at]))).join(" | ")} |`;
  const rule = columns.map(({ align }, at) =>
    align === "left" ? "-".repeat(widths[at]) : `${"-".repeat(widths[at] - 1)}:`,
  );
  return [line(columns.map(({ title }) => title)), line(rule), ...cells.map(line)].join("\n");
}

/** Three significant digits for what is small, whole numbers for what is large: no figure pretends more than it has. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (value >= 100) return Math.round(value).toString();
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
