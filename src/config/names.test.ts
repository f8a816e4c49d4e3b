import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatAddress } from "../platform/network.ts";
import { iqnFault, iscsiNameFault, isName, parseHostPort, parseNutName, parseSupplyName } from "./names.ts";
import { nearest } from "./nearest.ts";
import { resolvePath } from "./paths.ts";

describe("names", () => {
  it.each(["a", "relay-east", "9", "a".repeat(32)])("%s is one", (text) => expect(isName(text)).toBe(true));
  it.each(["", "-a", "A", "a_b", "a b", "a.b", "a/b", "ä", "a\n", "__proto__", "a".repeat(33)])("%j is none", (text) =>
    expect(isName(text)).toBe(false),
  );
});

describe("iSCSI names", () => {
  // The first four are the examples of RFC 7143 section 4.2.7.2 and 4.2.7.3.
  it.each([
    "iqn.2001-04.com.example:storage:diskarrays-sn-a8675309",
    "iqn.2001-04.com.example",
    "iqn.2001-04.com.example:storage.tape1.sys1.xyz",
    "iqn.2001-04.com.example:storage.disk2.sys1.xyz",
    "iqn.2026-11.dev.antipode:demo",
    `iqn.2001-04.com.example:${"a".repeat(199)}`,
  ])("%s is allowed", (text) => expect(iqnFault(text)).toBeUndefined());

  it.each([
    ["", "does not start with 'iqn.'"],
    ["com.example", "does not start with 'iqn.'"],
    ["iqn.com.example:disk", "does not have a year and month"],
    ["iqn.2001-4.com.example", "does not have a year and month"],
    ["iqn.2001-13.com.example", "does not have a year and month"],
    ["iqn.2001-00.com.example", "does not have a year and month"],
    ["iqn.2001-04.", "where a reversed domain name belongs"],
    ["iqn.2001-04.:disk", "where a reversed domain name belongs"],
    ["iqn.2001-04.com..example", "where a reversed domain name belongs"],
    ["iqn.2001-04.com.-example", "where a reversed domain name belongs"],
    ["iqn.2001-04.com.Example", "has the character 'E'"],
    ["iqn.2001-04.com.example:a b", "has the character ' '"],
    ["iqn.2001-04.com.example:a_b", "has the character '_'"],
    [`iqn.2001-04.com.example:${"a".repeat(200)}`, "has 224 bytes"],
  ])("%j is refused", (text, fault) => expect(iqnFault(text)).toContain(fault));

  it.each([
    "iqn.1993-08.org.debian:01:abc",
    "eui.02004567A425678D",
    "naa.52004567BA64678D",
    "naa.62004567BA64678D0123456789ABCDEF",
  ])("%s may be an initiator's", (text) => expect(iscsiNameFault(text)).toBeUndefined());
  it.each(["eui.02004567A425678", "naa.52004567BA64678D0", "wwn.1", "eui.02004567A425678G"])("%s may not", (text) =>
    expect(iscsiNameFault(text)).toBeDefined(),
  );
});

describe("addresses", () => {
  it.each([
    ["0.0.0.0:3260", "0.0.0.0", 3260],
    ["boulder.example:7400", "boulder.example", 7400],
    ["[::1]:0", "::1", 0],
    ["[fe80::1]:65535", "fe80::1", 65535],
  ])("%s", (text, host, port) => {
    expect(parseHostPort(text)).toEqual({ host, port });
    expect(formatAddress({ host, port })).toBe(text);
  });

  it.each([
    "",
    "3260",
    ":3260",
    "host",
    "host:",
    "host:x",
    "host:65536",
    "host:-1",
    "::1:3260",
    "[host]:1",
    "[]:1",
    "a b:1",
    "http://a:1",
    "a:1/",
  ])("%j is none", (text) => expect(parseHostPort(text)).toBeUndefined());
});

describe("nearest", () => {
  const words = ["listen", "heartbeat", "silence", "from"];
  it.each([
    ["lisen", "listen"],
    ["Listen", "listen"],
    ["listn", "listen"],
    ["heartBeat", "heartbeat"],
    ["form", "from"],
    ["frm", "from"],
    ["colour", undefined],
    ["", undefined],
  ])("%j is taken for %s", (word, expected) => expect(nearest(word, words)).toBe(expected));
});

describe("paths", () => {
  it.each([
    ["demo/", "disk0", "demo/disk0"],
    ["", "disk0", "disk0"],
    ["/etc/antipode/", "../x//y/.", "/etc/x/y"],
    ["demo/", "../../x", "../x"],
    ["demo/", "..", "."],
    ["demo/", "/dev/sda", "/dev/sda"],
    ["/", "../../a", "/a"],
  ])("%j and %j is %j", (folder, path, resolved) => expect(resolvePath(folder, path)).toBe(resolved));

  it("that are resolved stay as they are", () => {
    const part = fc.constantFrom("a", "..", ".", "", "b-c");
    fc.assert(
      fc.property(fc.array(part, { minLength: 1 }), fc.boolean(), (parts, absolute) => {
        const path = (absolute ? "/" : "") + (parts.join("/") || "x");
        const once = resolvePath("", path);
        expect(resolvePath("", once)).toBe(once);
      }),
    );
  });
});

describe("names of batteries", () => {
  it.each([
    ["ups@127.0.0.1", { ups: "ups", host: "127.0.0.1", port: 3493 }],
    ["smart-ups_2@nut.example:3500", { ups: "smart-ups_2", host: "nut.example", port: 3500 }],
    ["ups@[fd00::1]", { ups: "ups", host: "fd00::1", port: 3493 }],
    ["ups@[fd00::1]:1", { ups: "ups", host: "fd00::1", port: 1 }],
  ])("%j is a UPS of a NUT server", (text, expected) =>
    expect(parseNutName(text)).toEqual({ kind: "nut", ...expected }),
  );

  it.each(["ups", "@host", "ups@", "u ps@host", "ups@host:0", "ups@host:70000", "ups\n@host", "ups@a b"])(
    "%j is none",
    (text) => expect(parseNutName(text)).toBeUndefined(),
  );

  it.each(["BAT0", "ups_hidraw0", "sbs-5-000b"])("%j is one of the kernel's", (name) =>
    expect(parseSupplyName(name)).toEqual({ kind: "sysfs", name }),
  );

  it.each(["", ".", "..", "../net", "a/b", "BAT0\n"])("%j is none of the kernel's", (name) =>
    expect(parseSupplyName(name)).toBeUndefined(),
  );
});
