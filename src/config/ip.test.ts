import { describe, expect, it } from "vitest";
import { isIn, parseIp, parseIpPrefix } from "./ip.ts";

describe("an IP address", () => {
  it.each([
    ["192.0.2.7", [192, 0, 2, 7]],
    ["0.0.0.0", [0, 0, 0, 0]],
    ["::", Array(16).fill(0)],
    ["::1", [...Array(15).fill(0), 1]],
    ["2001:db8::a:1", [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 1]],
    ["1:2:3:4:5:6:7:8", [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]],
    ["1:2:3:4:5:6:7::", [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 0]],
  ])("is read: %s", (text, bytes) => expect(parseIp(text)?.bytes).toEqual(bytes));

  it.each([
    "",
    "1.2.3",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4.5",
    "1.2.3.-4",
    ":",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "g::",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "::1.2.3.4",
    "a.example",
  ])("is refused: '%s'", (text) => expect(parseIp(text)).toBeUndefined());

  it("with a prefix has no more bits than the address", () => {
    expect(parseIpPrefix("192.0.2.7/24")?.length).toBe(24);
    expect(parseIpPrefix("2001:db8::1/128")?.length).toBe(128);
    for (const text of ["192.0.2.7", "192.0.2.7/33", "2001:db8::1/129", "192.0.2.7/", "/24", "192.0.2.7/2 4"])
      expect(parseIpPrefix(text)).toBeUndefined();
  });
});

describe("a network", () => {
  it.each([
    ["192.0.2.1", "192.0.2.7/24", true],
    ["192.0.3.1", "192.0.2.7/24", false],
    ["192.0.3.1", "192.0.2.7/23", true],
    ["192.0.2.8", "192.0.2.7/29", false],
    ["10.0.0.1", "192.0.2.7/0", true],
    ["192.0.2.7", "192.0.2.7/32", true],
    ["2001:db8::1", "2001:db8::2/64", true],
    ["2001:db8:0:1::1", "2001:db8::2/64", false],
    ["::1", "0.0.0.0/0", false],
  ])("has %s in %s: %s", (address, prefix, expected) => {
    const [parsed, network] = [parseIp(address), parseIpPrefix(prefix)];
    expect(parsed && network && isIn(parsed, network)).toBe(expected);
  });
});
