/**
 * LOG SENSE and LOG SELECT, SPC-4 section 7.3: pages of what a unit counts.
 *
 * Only what is true has a parameter: nothing is weighted by how many commands there were at once, so those fields of the
 * statistics page are zero. Counters are the unit's, whoever reads them; to reset a page is to count from there on.
 */

import type { Command } from "./command.ts";
import { invalidCdbField, Senses } from "./sense.ts";
import { Transfers } from "./transfers.ts";
import type { LogicalUnit, Nexus } from "./unit.ts";

const ALL_SUBPAGES = 0xff;

/** Which values of parameters a CDB asks for: PC. */
const PageControl = { Threshold: 0, Cumulative: 1, DefaultThreshold: 2, DefaultCumulative: 3 } as const;

interface Parameter {
  readonly code: number;
  readonly control: number;
  readonly value: Uint8Array;
}

/** TSD: it is not saved. Format: an unbounded counter, or a list of binary values. */
const COUNTER = 0x22;
const BINARY_LIST = 0x23;

interface LogPage {
  readonly page: number;
  /** Of what was counted since the page was reset. Pages of counters have no thresholds. */
  readonly counters?: (counted: Counted, unit: LogicalUnit) => readonly Parameter[];
  readonly list?: () => readonly Parameter[];
}

const PAGES: readonly LogPage[] = [
  { page: 0x02, counters: writeErrorCounters },
  { page: 0x03, counters: readErrorCounters },
  { page: 0x19, counters: generalStatistics },
  { page: 0x2f, list: informationalExceptions },
];

/** What a unit counts, or has counted since a page was reset. */
type Counted = Readonly<Record<(typeof COUNTS)[number], number>>;
const COUNTS = [
  ...(["reads", "writes", "blocksSent", "blocksTaken", "readErrors", "writeErrors"] as const),
  ...(["readMs", "writeMs"] as const),
] as const;

const NOTHING: Counted = { ...new Transfers(), readErrors: 0, writeErrors: 0, readMs: 0, writeMs: 0 };

/** What was counted when a page was reset. */
export type LogBases = Map<number, Counted>;

function counter(code: number, value: number): Parameter {
  return { code, control: COUNTER, value: words(value) };
}

function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(8 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setBigUint64(8 * index, BigInt(value));
  });
  return bytes;
}

const BYTES_PROCESSED = 0x0005;
const UNCORRECTED_ERRORS = 0x0006;

function writeErrorCounters({ blocksTaken, writeErrors }: Counted, { blockSize }: LogicalUnit): readonly Parameter[] {
  return [counter(BYTES_PROCESSED, blocksTaken * blockSize), counter(UNCORRECTED_ERRORS, writeErrors)];
}

function readErrorCounters({ blocksSent, readErrors }: Counted, { blockSize }: LogicalUnit): readonly Parameter[] {
  return [counter(BYTES_PROCESSED, blocksSent * blockSize), counter(UNCORRECTED_ERRORS, readErrors)];
}

/** Time intervals of 10^-6 s: the exponent, without its sign, and what it is multiplied with. */
const MICROSECOND = new Uint8Array([0, 0, 0, 6, 0, 0, 0, 1]);

/** Commands and blocks; then the time that reads and writes took, each by itself, and what is weighted. */
function generalStatistics(counted: Counted): readonly Parameter[] {
  const { reads, writes, blocksSent, blocksTaken, readMs, writeMs } = counted;
  const intervals = [readMs, writeMs].map((ms) => Math.round(1000 * ms));
  return [
    { code: 1, control: BINARY_LIST, value: words(reads, writes, blocksTaken, blocksSent, ...intervals, 0, 0) },
    { code: 3, control: BINARY_LIST, value: MICROSECOND },
  ];
}

/** There is none to report, and no temperature. */
function informationalExceptions(): readonly Parameter[] {
  return [{ code: 0, control: BINARY_LIST, value: new Uint8Array([0, 0, 0xff, 0]) }];
}

export function logSense(command: Command, unit: LogicalUnit): void {
  const { cdb, view } = command;
  const control = cdb[2] >> 6;
  const page = cdb[2] & 0x3f;
  const subpage = cdb[3];
  // SP: there is nowhere to save to.
  if ((cdb[1] & 0x01) !== 0) command.fail(invalidCdbField(1));
  else if (page !== 0 && !PAGES.some((one) => one.page === page)) command.fail(invalidCdbField(2));
  else if (subpage !== 0 && subpage !== ALL_SUBPAGES) command.fail(invalidCdbField(3));
  else if (page === 0 || subpage === ALL_SUBPAGES) {
    if (view.getUint16(5) !== 0) command.fail(invalidCdbField(5));
    else command.answer(supported(page, subpage), view.getUint16(7));
  } else reportPage(command, unit, page, control);
}

/** Page 00h alone, with subpages, or the subpages of one page. */
function supported(page: number, subpage: number): Uint8Array {
  const pages = page === 0 ? [0, ...PAGES.map((one) => one.page)] : [page];
  const list = subpage === 0 ? pages : pages.flatMap((one) => [one, 0, one, ALL_SUBPAGES]);
  return withHeader(page, subpage, new Uint8Array(list));
}

function reportPage(command: Command, unit: LogicalUnit, page: number, control: number): void {
  const { counters, list } = PAGES.find((one) => one.page === page) ?? { counters: undefined, list: undefined };
  if (counters !== undefined && (control === PageControl.Threshold || control === PageControl.DefaultThreshold)) {
    command.fail(invalidCdbField(2));
    return;
  }
  const counted = control === PageControl.DefaultCumulative ? NOTHING : sinceReset(unit, page);
  const all = counters?.(counted, unit) ?? list?.() ?? [];
  const from = command.view.getUint16(5);
  const parameters = all.filter(({ code }) => code >= from);
  if (parameters.length === 0) {
    command.fail(invalidCdbField(5));
    return;
  }
  const bytes = new Uint8Array(parameters.reduce((sum, { value }) => sum + 4 + value.length, 0));
  let at = 0;
  for (const { code, control: flags, value } of parameters) {
    bytes.set([code >> 8, code & 0xff, flags, value.length], at);
    bytes.set(value, at + 4);
    at += 4 + value.length;
  }
  command.answer(withHeader(page, 0, bytes), command.view.getUint16(7));
}

/** DS: it is not saved. SPF: it has a subpage code. */
function withHeader(page: number, subpage: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + body.length);
  bytes.set([0x80 | (subpage === 0 ? 0 : 0x40) | page, subpage, body.length >> 8, body.length & 0xff]);
  bytes.set(body, 4);
  return bytes;
}

function countedBy({ transfers, counter }: LogicalUnit): Counted {
  const { reads, writes } = counter.snapshot();
  const { readErrors, writeErrors } = counter;
  return { ...transfers, readErrors, writeErrors, readMs: reads.totalMs, writeMs: writes.totalMs };
}

function sinceReset(unit: LogicalUnit, page: number): Counted {
  const now = countedBy(unit);
  const base = unit.logBases.get(page) ?? NOTHING;
  const since = { ...now };
  for (const count of COUNTS) since[count] = now[count] - base[count];
  return since;
}

const PCR = 0x02;
const SP = 0x01;

/** Resets a page of counters, or all of them where none is named. Parameters can't be given values. */
export function logSelect(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const { cdb, view } = command;
  const control = cdb[2] >> 6;
  const page = cdb[2] & 0x3f;
  const pages = page === 0 ? PAGES : PAGES.filter((one) => one.page === page);
  if ((cdb[1] & SP) !== 0) command.fail(invalidCdbField(1));
  else if (view.getUint16(7) !== 0) command.fail(invalidCdbField(7));
  else if (pages.length === 0) command.fail(invalidCdbField(2));
  else if (cdb[3] !== 0) command.fail(invalidCdbField(3));
  else if ((cdb[1] & PCR) !== 0 || control === PageControl.DefaultCumulative) {
    for (const one of pages) if (one.counters !== undefined) unit.logBases.set(one.page, countedBy(unit));
    unit.host.announce(unit, Senses.LogParametersChanged, nexus);
  }
}
