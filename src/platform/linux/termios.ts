/** Modes of a terminal, by ioctl_tty(2) and termios(3): the kernel's structure, which is not that of the C library. */

import type { Speed, TerminalSize } from "../terminal.ts";
import { ioctl } from "./libc.ts";

const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TIOCGWINSZ = 0x5413;

/** `struct termios` of asm-generic/termbits.h: four words of flags, a byte, and 19 control characters. */
const WORDS = 9;
const INPUT = 0;
const OUTPUT = 1;
const CONTROL = 2;
const LOCAL = 3;
const CHARACTERS_AT = 17;
const VTIME = 5;
const VMIN = 6;

const IGNBRK = 0o1;
const BRKINT = 0o2;
const PARMRK = 0o10;
const INPUT_OFF = IGNBRK | BRKINT | 0o40 /* ISTRIP */ | 0o100 /* INLCR */ | 0o200 /* IGNCR */ | 0o400 /* ICRNL */;
/** The terminal may stop output for a while by XOFF. */
const IXON = 0o2000;
const OPOST = 0o1;
const CSIZE_AND_PARITY = 0o60 | 0o400;
const CS8 = 0o60;
const CREAD = 0o200;
/** The modem's lines are not looked at: most cables of serial consoles do not have them. */
const CLOCAL = 0o4000;
const CBAUD = 0o10017;
const LOCAL_OFF = 0o1 /* ISIG */ | 0o2 /* ICANON */ | 0o10 /* ECHO */ | 0o100 /* ECHONL */ | 0o100000; /* IEXTEN */

const SPEED_BITS: Readonly<Record<Speed, number>> = {
  9600: 0o15,
  19200: 0o16,
  38400: 0o17,
  57600: 0o10001,
  115200: 0o10002,
};

/** The modes of a terminal, to be given back as they were. */
export type Modes = Uint32Array;

/** @returns undefined where the file is no terminal */
export function modesOf(fd: number): Modes | undefined {
  // A few words more than the kernel writes, in case that it writes more some day.
  const modes = new Uint32Array(WORDS + 7);
  return ioctl(fd, TCGETS, modes) < 0 ? undefined : modes;
}

/** @returns 0, or a negative error number */
export function setModes(fd: number, modes: Modes): number {
  return ioctl(fd, TCSETS, modes);
}

/** Every byte as it comes and goes, eight bits, breaks marked in the input. */
export function rawModes(modes: Modes): Modes {
  const raw = modes.slice();
  raw[INPUT] = (raw[INPUT] & ~INPUT_OFF) | PARMRK | IXON;
  raw[OUTPUT] &= ~OPOST;
  raw[CONTROL] = (raw[CONTROL] & ~CSIZE_AND_PARITY) | CS8 | CREAD | CLOCAL;
  raw[LOCAL] &= ~LOCAL_OFF;
  const characters = new Uint8Array(raw.buffer);
  characters[CHARACTERS_AT + VMIN] = 1;
  characters[CHARACTERS_AT + VTIME] = 0;
  return raw;
}

export function withSpeed(modes: Modes, speed: Speed): Modes {
  const changed = modes.slice();
  changed[CONTROL] = (changed[CONTROL] & ~CBAUD) | SPEED_BITS[speed];
  return changed;
}

/** @returns undefined where it is not known */
export function sizeOf(fd: number): TerminalSize | undefined {
  const words = new Uint32Array(2);
  if (ioctl(fd, TIOCGWINSZ, words) < 0) return undefined;
  const [rows, columns] = new Uint16Array(words.buffer);
  return rows === 0 || columns === 0 ? undefined : { rows, columns };
}
