import { expect, it } from "vitest";
import { linuxPasswords } from "./linux-passwords.ts";

it("hashes as RFC 7914 section 12 says, here its first 32 bytes", async () => {
  const salt = new TextEncoder().encode("NaCl");
  const hash = await linuxPasswords().hash("password", salt, { n: 1024, r: 8, p: 16 });
  expect(Buffer.from(hash).toString("hex")).toBe("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162");
});
