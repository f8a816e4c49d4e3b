/** The table of commands that copy, and of those that tell of it: SPC-4 and SBC-4. */

import {
  receiveCopyFailureDetails,
  receiveCopyOperatingParameters,
  receiveCopyStatusLid1,
  receiveCopyStatusLid4,
  receiveRodTokenInformation,
} from "./copy-results.ts";
import { LBA4, type Row } from "./definition.ts";
import { copyOperationAbort, extendedCopyLid1, extendedCopyLid4 } from "./extended-copy.ts";
import { populateToken, reportAllRodTokens, writeUsingToken } from "./token-commands.ts";

/** With a parameter list or an allocation length of 4 bytes at 10, after so many bytes of a list identifier. */
function usage(opcode: number, listIdBytes: number): readonly number[] {
  const listId = Array.from({ length: 8 }, (_, index) => (index < listIdBytes ? 0xff : 0));
  return [opcode, 0x1f, ...listId, ...LBA4, 0, 0x04];
}

const TOKEN_USAGE = [0x83, 0x1f, 0, 0, 0, 0, ...LBA4, ...LBA4, 0, 0x04] as const;

export const COPY_COMMANDS: readonly Row[] = [
  [0x83, { serviceAction: 0x00, usage: usage(0x83, 0), run: extendedCopyLid1 }],
  [0x83, { serviceAction: 0x01, usage: usage(0x83, 0), run: extendedCopyLid4 }],
  [0x83, { serviceAction: 0x10, usage: TOKEN_USAGE, run: populateToken }],
  [0x83, { serviceAction: 0x11, usage: TOKEN_USAGE, run: writeUsingToken }],
  [
    0x83,
    {
      serviceAction: 0x1c,
      usage: [0x83, 0x1f, ...LBA4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x04],
      run: copyOperationAbort,
    },
  ],
  [0x84, { serviceAction: 0x00, usage: usage(0x84, 1), run: receiveCopyStatusLid1 }],
  [0x84, { serviceAction: 0x03, usage: usage(0x84, 0), run: receiveCopyOperatingParameters }],
  [0x84, { serviceAction: 0x04, usage: usage(0x84, 1), run: receiveCopyFailureDetails }],
  [0x84, { serviceAction: 0x05, usage: usage(0x84, 4), run: receiveCopyStatusLid4 }],
  [0x84, { serviceAction: 0x07, usage: usage(0x84, 4), run: receiveRodTokenInformation }],
  [0x84, { serviceAction: 0x08, usage: usage(0x84, 0), run: reportAllRodTokens }],
];
