/**
 * The parameter lists of EXTENDED COPY with list identifiers of one byte and of four, of SPC-4: which units, and what
 * is copied between them. Both have the same descriptors after different headers.
 */

import { COPY_CSCDS_MAX, COPY_LIST_BYTES_MAX, COPY_SEGMENTS_MAX } from "../limits.ts";
import { CheckCondition, invalidParameter, type Sense, Senses } from "./sense.ts";

export interface CopyList {
  /** Absent where the list says that nobody will ask for it (LIST ID USAGE 11b). */
  readonly listId: number | undefined;
  readonly immediate: boolean;
  /** Of 32 bytes each. */
  readonly cscds: readonly DataView[];
  readonly segments: readonly DataView[];
}

export const LID1_HEADER_BYTES = 16;
export const LID4_HEADER_BYTES = 48;
const CSCD_BYTES = 32;
/** Before it begins what DESCRIPTOR LENGTH counts. */
const SEGMENT_HEADER_BYTES = 4;

/** An identification descriptor: a unit by one of its designators. */
export const CSCD_IDENTIFICATION = 0xe4;

export const Segment = {
  BlockToBlock: 0x02,
  VerifyCscd: 0x07,
  /** With byte offsets; only whole blocks are copied. */
  BlockToBlockBytes: 0x0a,
} as const;

/** DESCRIPTOR LENGTH of each. */
const SEGMENT_LENGTHS: ReadonlyMap<number, number> = new Map([
  [Segment.BlockToBlock, 0x18],
  [Segment.VerifyCscd, 0x08],
  [Segment.BlockToBlockBytes, 0x1c],
]);

/** Types of segments and CSCDs, ascending: what hosts are told. */
export const DESCRIPTOR_TYPES: readonly number[] = [...SEGMENT_LENGTHS.keys(), CSCD_IDENTIFICATION].sort(
  (a, b) => a - b,
);

const NO_LIST_ID = 3;

interface Header {
  readonly bytes: number;
  readonly listId: number;
  readonly immediate: boolean;
  readonly cscdBytes: number;
  readonly segmentBytes: number;
  readonly inlineBytes: number;
}

function lid1Header(view: DataView): Header {
  return {
    bytes: LID1_HEADER_BYTES,
    listId: view.getUint8(0),
    immediate: false,
    cscdBytes: view.getUint16(2),
    segmentBytes: view.getUint32(8),
    inlineBytes: view.getUint32(12),
  };
}

const LIST_FORMAT = 0x01;
const HEADER_CSCD_BYTES = 0x20;
const HEADER_CSCD_TYPE = 0xff;

function lid4Header(view: DataView): Header {
  if (view.getUint8(0) !== LIST_FORMAT) throw new CheckCondition(invalidParameter(0));
  if (view.getUint16(2) !== HEADER_CSCD_BYTES) throw new CheckCondition(invalidParameter(2));
  if (view.getUint8(16) !== HEADER_CSCD_TYPE) throw new CheckCondition(invalidParameter(16));
  return {
    bytes: LID4_HEADER_BYTES,
    listId: view.getUint32(20),
    immediate: (view.getUint8(15) & 0x01) !== 0,
    cscdBytes: view.getUint16(42),
    segmentBytes: view.getUint16(44),
    inlineBytes: view.getUint16(46),
  };
}

/** @throws CheckCondition where no such list is carried out */
export function parseCopyList(data: Uint8Array, lid4: boolean): CopyList {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const header = lid4 ? lid4Header(view) : lid1Header(view);
  const { cscdBytes, segmentBytes, inlineBytes } = header;
  if (inlineBytes > 0) throw new CheckCondition(Senses.InlineDataLengthExceeded);
  const segmentsAt = header.bytes + cscdBytes;
  const end = segmentsAt + segmentBytes;
  if (cscdBytes + segmentBytes > COPY_LIST_BYTES_MAX || end > data.length || cscdBytes % CSCD_BYTES !== 0) {
    throw new CheckCondition(Senses.ParameterListLength);
  }
  const count = cscdBytes / CSCD_BYTES;
  if (count > COPY_CSCDS_MAX) throw new CheckCondition(Senses.TooManyCscds);
  const cscds = Array.from({ length: count }, (_, index) => part(data, header.bytes + CSCD_BYTES * index, CSCD_BYTES));
  cscds.forEach((cscd, index) => {
    if (cscd.getUint8(0) !== CSCD_IDENTIFICATION) {
      throw new CheckCondition(at(Senses.UnsupportedCscdType, header.bytes + CSCD_BYTES * index));
    }
  });
  const usage = (view.getUint8(1) >> 3) & 3;
  return {
    listId: usage === NO_LIST_ID ? undefined : header.listId,
    immediate: header.immediate,
    cscds,
    segments: parseSegments(data, segmentsAt, end),
  };
}

function parseSegments(data: Uint8Array, from: number, end: number): readonly DataView[] {
  const segments: DataView[] = [];
  for (let start = from; start < end; ) {
    if (segments.length === COPY_SEGMENTS_MAX) throw new CheckCondition(Senses.TooManySegments);
    const length = SEGMENT_LENGTHS.get(data[start]);
    if (length === undefined) throw new CheckCondition(at(Senses.UnsupportedSegmentType, start));
    if (start + SEGMENT_HEADER_BYTES + length > end) throw new CheckCondition(Senses.ParameterListLength);
    const segment = part(data, start, SEGMENT_HEADER_BYTES + length);
    if (segment.getUint16(2) !== length) throw new CheckCondition(invalidParameter(start + 2));
    segments.push(segment);
    start += segment.byteLength;
  }
  return segments;
}

/** A copy, since what the list came in is not kept. */
function part(data: Uint8Array, start: number, length: number): DataView {
  return new DataView(data.slice(start, start + length).buffer);
}

function at(sense: Sense, byte: number): Sense {
  return { ...sense, field: { inCdb: false, byte } };
}
