/**
 * Wire and disk formats as tables: named fields with offset and width, little-endian.
 * A table must tile its size exactly, reserved bytes included, or the module that declares it does not load.
 */

import { assert } from "./assert.ts";

export interface Field<T> {
  readonly offset: number;
  readonly width: number;
  get(view: DataView, base: number): T;
  set(view: DataView, base: number, value: T): void;
}

interface FieldType<T> {
  readonly width: number;
  at(offset: number): Field<T>;
}

function numeric(
  width: number,
  max: number,
  read: (view: DataView, at: number) => number,
  write: (view: DataView, at: number, value: number) => void,
): FieldType<number> {
  return {
    width,
    at: (offset) => ({
      offset,
      width,
      get: (view, base) => read(view, base + offset),
      set: (view, base, value) => {
        // Set for every request: the message is only put together where it is needed.
        if (!(value >= 0 && value <= max && Number.isInteger(value)))
          assert(false, `field value out of range: ${value}`);
        write(view, base + offset, value);
      },
    }),
  };
}

export const u8 = numeric(
  1,
  0xff,
  (view, at) => view.getUint8(at),
  (view, at, value) => view.setUint8(at, value),
);
export const u16 = numeric(
  2,
  0xffff,
  (view, at) => view.getUint16(at, true),
  (view, at, value) => view.setUint16(at, value, true),
);
export const u32 = numeric(
  4,
  0xffffffff,
  (view, at) => view.getUint32(at, true),
  (view, at, value) => view.setUint32(at, value, true),
);
/** 64 bits on the wire; values stay below 2^53, and a larger one read from outside comes back as NaN. */
export const u64 = numeric(
  8,
  Number.MAX_SAFE_INTEGER,
  (view, at) => {
    const high = view.getUint32(at + 4, true);
    return high > 0x1fffff ? Number.NaN : high * 0x100000000 + view.getUint32(at, true);
  },
  (view, at, value) => {
    view.setUint32(at, value % 0x100000000, true);
    view.setUint32(at + 4, Math.floor(value / 0x100000000), true);
  },
);

/** A run of raw bytes. `get` returns a view, not a copy. */
export function raw(width: number): FieldType<Uint8Array> {
  return {
    width,
    at: (offset) => ({
      offset,
      width,
      get: (view, base) => new Uint8Array(view.buffer, view.byteOffset + base + offset, width),
      set: (view, base, value) => {
        assert(value.length === width, `raw field wants ${width} bytes, got ${value.length}`);
        new Uint8Array(view.buffer, view.byteOffset + base + offset, width).set(value);
      },
    }),
  };
}

/** UTF-8 text padded with zero bytes. */
export function text(width: number): FieldType<string> {
  return {
    width,
    at: (offset) => ({
      offset,
      width,
      get: (view, base) => {
        const bytes = new Uint8Array(view.buffer, view.byteOffset + base + offset, width);
        const end = bytes.indexOf(0);
        return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
      },
      set: (view, base, value) => {
        const bytes = new TextEncoder().encode(value);
        assert(bytes.length <= width, `text field holds ${width} bytes: ${value}`);
        const target = new Uint8Array(view.buffer, view.byteOffset + base + offset, width);
        target.fill(0);
        target.set(bytes);
      },
    }),
  };
}

type Columns = Readonly<Record<string, readonly [offset: number, type: FieldType<never> | FieldType<unknown>]>>;
type Fields<C extends Columns> = {
  readonly [K in keyof C]: C[K][1] extends FieldType<infer T> ? Field<T> : never;
};

/**
 * Declares a format of `size` bytes.
 *
 * @example
 * const Header = layout("header", 16, { magic: [0, u32], version: [4, u8], reserved: [5, raw(3)], length: [8, u64] });
 * Header.length.set(view, 0, 4096);
 */
export function layout<const C extends Columns>(
  name: string,
  size: number,
  columns: C,
): Fields<C> & { readonly size: number } {
  let next = 0;
  const fields: Record<string, unknown> = { size };
  for (const [field, [offset, type]] of Object.entries(columns)) {
    assert(offset === next, `${name}.${field} starts at ${offset}, the field before it ends at ${next}`);
    fields[field] = type.at(offset);
    next = offset + type.width;
  }
  assert(next === size, `${name} is ${size} bytes, its fields fill ${next}`);
  return fields as Fields<C> & { readonly size: number };
}
