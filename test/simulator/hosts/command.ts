/** What a host asks of its initiator, and what it is told in the end. */

export interface Command {
  /** 16 bytes. */
  readonly cdb: Uint8Array;
  /** What is written, or undefined. Not kept after `done`. */
  readonly data?: Uint8Array;
  /** Where what is read goes, or undefined. */
  readonly into?: Uint8Array;
  /** Called once. */
  done(outcome: Outcome): void;
}

export interface Sense {
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
}

export type Outcome =
  /** The target has answered. All of `into` is there if the status is GOOD. */
  | { readonly kind: "status"; readonly status: number; readonly sense?: Sense }
  /** The target has confirmed that it was aborted: from now on it does nothing. */
  | { readonly kind: "aborted" }
  /** Its session is gone, and nobody knows what became of it. */
  | { readonly kind: "lost" }
  /** Its session went before it was sent. */
  | { readonly kind: "unsent" };

/** What hosts count, over all of their sessions. */
export class Counters {
  /** Writes and unmaps that were acknowledged. */
  acknowledged = 0;
  /** Reads that brought content. */
  reads = 0;
  logins = 0;
  /** Commands that were not answered in time. */
  timeouts = 0;
  /** Commands whose abortion was confirmed. */
  aborted = 0;
  /** Commands that were outstanding when their session went. */
  lost = 0;
  /** Answers of BUSY and TASK SET FULL. */
  busy = 0;
  attentions = 0;
  /** Damaged PDUs. */
  digestErrors = 0;
  /** Statuses that are errors, and how sessions ended, by their names. */
  readonly errors = new Map<string, number>();
  readonly ends = new Map<string, number>();

  static count(map: Map<string, number>, what: string): void {
    map.set(what, (map.get(what) ?? 0) + 1);
  }
}

export const Cdb = {
  testUnitReady: (): Uint8Array => cdb(0x00),
  synchronizeCache: (): Uint8Array => cdb(0x35),
  unmap: (parameterBytes: number): Uint8Array => {
    const bytes = cdb(0x42);
    new DataView(bytes.buffer).setUint16(7, parameterBytes);
    return bytes;
  },
  /** READ and WRITE, of 10 or 16 bytes. */
  transfer: (kind: "read" | "write", size: 10 | 16, lba: number, blocks: number, fua: boolean): Uint8Array => {
    const opcode = kind === "read" ? 0x28 : 0x2a;
    const bytes = cdb(size === 10 ? opcode : opcode + 0x60);
    const view = new DataView(bytes.buffer);
    if (fua) bytes[1] = 0x08;
    view.setUint32(size === 10 ? 2 : 6, lba);
    if (size === 10) view.setUint16(7, blocks);
    else view.setUint32(10, blocks);
    return bytes;
  },
} as const;

function cdb(opcode: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = opcode;
  return bytes;
}

/** The parameter list of an UNMAP, SBC-3 section 5.28. */
export function unmapList(extents: readonly { readonly lba: number; readonly blocks: number }[]): Uint8Array {
  const bytes = new Uint8Array(8 + 16 * extents.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, bytes.length - 2);
  view.setUint16(2, bytes.length - 8);
  for (const [index, { lba, blocks }] of extents.entries()) {
    view.setUint32(8 + 16 * index + 4, lba);
    view.setUint32(8 + 16 * index + 8, blocks);
  }
  return bytes;
}

/** The sense data of a SCSI Response, in fixed or descriptor format (SPC-4 section 4.5), or what is wrong with it. */
export function senseOf(data: Uint8Array): Sense | string {
  const length = data.length < 2 ? -1 : (data[0] << 8) | data[1];
  if (length < 8 || data.length < 2 + length) return `sense of ${length} bytes in ${data.length}`;
  const code = data[2] & 0x7f;
  if (code === 0x70) return { key: data[4] & 0x0f, asc: data[2 + 12], ascq: data[2 + 13] };
  if (code === 0x72) return { key: data[3] & 0x0f, asc: data[4], ascq: data[5] };
  return `sense of response code ${code}`;
}
