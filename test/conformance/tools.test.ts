/** What the tools of libiscsi and QEMU see of a LUN, and what they read back of what they wrote. */

import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OpenSession, qemuIo, tool, tryQemuIo } from "./initiator.ts";
import { alone, HOST, IQN, put, urlOf } from "./sites.ts";
import { freePorts, type Running, until, Workbench } from "./workbench.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const VOLUME_MIB = 32;

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}

describe.each([512, 4096] as const)("a LUN with blocks of %i bytes", (blockSize) => {
  let bench: Workbench;
  let site: Running;
  let port: number;
  let url: string;
  const inquiry = (...options: string[]) => tool(bench, "iscsi-inq", ...options, url);
  /**
   * The commands that read so many bytes and compare them with a pattern. QEMU 7.2 breaks an assertion of its own
   * (`iscsi_co_block_status`) where it reads 32 KiB or more from a thin LUN with blocks of 4096 bytes.
   */
  const reads = (pattern: number, offset: number, bytes: number): readonly string[] => {
    const most = blockSize === 512 ? bytes : 16 * KiB;
    return Array.from({ length: Math.ceil(bytes / most) }, (_, part) => {
      const at = offset + part * most;
      return `read -P ${pattern} ${at} ${Math.min(most, offset + bytes - at)}`;
    });
  };
  const page = (code: number) => inquiry("--evpd=1", `--pagecode=${code}`);

  beforeAll(async () => {
    bench = new Workbench();
    [port] = await freePorts(1);
    url = urlOf(port);
    const config = alone({ port, volumeMiB: VOLUME_MIB, volumes: 2, blockSize, level: 5, drives: 3 });
    site = await bench.serve(put(bench, config));
  });
  afterAll(() => bench.close());

  it("is listed by iscsi-ls", async () => {
    const listed = await tool(bench, "iscsi-ls", "--show-luns", `iscsi://${HOST}:${port}`);
    expect(listed).toContain(`Target:${IQN} Portal:${HOST}:${port},1`);
    expect(listed).toMatch(/^Lun:0 +Type:DIRECT_ACCESS/m);
    expect(listed).toMatch(/^Lun:1 +Type:DIRECT_ACCESS/m);
  });

  it("says to iscsi-inq what it is", async () => {
    const standard = await inquiry();
    expect(standard).toContain("Vendor:ANTIPODE");
    expect(standard).toContain("Product:Mirrored LUN");
    expect(standard).toContain("Peripheral Device Type:DIRECT_ACCESS");
    expect(standard).toContain("SPC-4");
    expect(standard).toContain("SBC-3");
  });

  it("has the same names in every session, and others than the other LUN", async () => {
    const pages = await page(0x00);
    for (const code of ["80", "83", "b0", "b1", "b2"]) expect(pages.toLowerCase()).toContain(`page:0x${code}`);
    const serial = await page(0x80);
    const identification = await page(0x83);
    expect(serial).toMatch(/Unit Serial Number:\[?[0-9a-f]{16}/);
    expect(identification).toMatch(/NAA/);
    expect(await page(0x80)).toBe(serial);
    expect(await page(0x83)).toBe(identification);
    const other = urlOf(port, 1);
    expect(await tool(bench, "iscsi-inq", "--evpd=1", "--pagecode=128", other)).not.toBe(serial);
    expect(await tool(bench, "iscsi-inq", "--evpd=1", "--pagecode=131", other)).not.toBe(identification);
  });

  it("tells its limits, its kind and how it is provisioned", async () => {
    const limits = await page(0xb0);
    const figure = (name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(limits)?.[1]);
    expect(figure("maximum compare and write length")).toBe(blockSize === 512 ? 255 : 128);
    expect(figure("maximum transfer length") * blockSize).toBe(8 * MiB);
    expect(figure("maximum unmap block descriptor count")).toBe(256);
    expect(await page(0xb1)).toContain("Medium Rotation Rate:1RPM");
    const provisioning = await page(0xb2);
    for (const flag of ["lbpu:1", "lbpws:1", "lbpws10:1", "lbprz:1"]) expect(provisioning).toContain(flag);
  });

  it("has its size", async () => {
    const capacity = await tool(bench, "iscsi-readcapacity16", url);
    expect(capacity).toContain(`RETURNED LOGICAL BLOCK ADDRESS:${(VOLUME_MIB * MiB) / blockSize - 1}\n`);
    expect(capacity).toContain(`LOGICAL BLOCK LENGTH IN BYTES:${blockSize}\n`);
    expect(capacity).toContain(`LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT:${blockSize === 512 ? 3 : 0}\n`);
    expect(capacity).toContain("LBPME:1 LBPRZ:1");
    expect(await tool(bench, "qemu-img", "info", url)).toContain(`(${VOLUME_MIB * MiB} bytes)`);
  });

  it("can be write-protected by a host, and takes nothing then", async () => {
    await qemuIo(bench, url, "write -P 0x21 0 64k");
    const before = await OpenSession.open(bench, url);
    await tool(bench, "iscsi-swp", "--swp=on", url);
    expect(await tool(bench, "iscsi-swp", url)).toContain("SWP:1");
    try {
      expect(await before.attempt("write -P 0x22 0 64k")).toContain("write failed");
      for (const read of reads(0x21, 0, 64 * KiB)) await before.command(read);
      await before.close();
      const after = await tryQemuIo(bench, url, "write -P 0x22 0 64k");
      expect(after.code).not.toBe(0);
      expect(after.text).toContain("LUN is write protected");
    } finally {
      await tool(bench, "iscsi-swp", "--swp=off", url);
    }
    expect(await tool(bench, "iscsi-swp", url)).toContain("SWP:0");
    await qemuIo(bench, url, ...reads(0x21, 0, 64 * KiB), "write -P 0x22 0 64k", ...reads(0x22, 0, 64 * KiB));
  });

  it("gives back what was written, at every alignment", async () => {
    await qemuIo(
      bench,
      url,
      "write -P 0x00 0 1M",
      "write -P 0xa1 512 512",
      "write -P 0xa2 4095 2",
      "write -P 0xa3 7680 9216",
      "write -P 0xa4 65024 132096",
      "flush",
    );
    await qemuIo(
      bench,
      url,
      ...reads(0x00, 0, 512),
      ...reads(0xa1, 512, 512),
      ...reads(0x00, 1024, 3071),
      ...reads(0xa2, 4095, 2),
      ...reads(0x00, 4097, 3583),
      ...reads(0xa3, 7680, 9216),
      ...reads(0x00, 16896, 48128),
      ...reads(0xa4, 65024, 132096),
      ...reads(0x00, 197120, 65536),
    );
  });

  it("reads zeros where it was written with zeros or discarded", async () => {
    await qemuIo(
      bench,
      url,
      "write -P 0xb1 0 1M",
      "write -z 128k 128k",
      "write -z -u 256k 128k",
      "discard 512k 256k",
      "discard 4096 512",
    );
    await qemuIo(
      bench,
      url,
      ...reads(0xb1, 8 * KiB, 120 * KiB),
      ...reads(0, 128 * KiB, 256 * KiB),
      ...reads(0xb1, 384 * KiB, 128 * KiB),
      ...reads(0, 512 * KiB, 256 * KiB),
      ...reads(0xb1, 768 * KiB, 256 * KiB),
    );
  });

  it("refuses what lies beyond its end, and keeps its last block", async () => {
    const end = VOLUME_MIB * MiB;
    await qemuIo(bench, url, `write -P 0xc1 ${end - 4096} 4096`);
    expect((await tryQemuIo(bench, url, `write -P 0xc2 ${end} 4096`)).code).not.toBe(0);
    expect((await tryQemuIo(bench, url, `read ${end - 512} 1024`)).code).not.toBe(0);
    await qemuIo(bench, url, ...reads(0xc1, end - 4096, 4096));
  });

  it("says to QEMU where it holds data", async () => {
    const other = urlOf(port, 1);
    await qemuIo(bench, other, "write -P 0x31 1M 1M", "discard 1536k 256k");
    const map = JSON.parse(await tool(bench, "qemu-img", "map", "--output=json", "-f", "raw", other)) as {
      readonly start: number;
      readonly length: number;
      readonly data: boolean;
    }[];
    const held = map.filter(({ data }) => data).map(({ start, length }) => [start / KiB, length / KiB]);
    expect(held).toEqual([
      [1024, 512],
      [1792, 256],
    ]);
    expect(map.reduce((sum, { length }) => sum + length, 0)).toBe(VOLUME_MIB * MiB);
  });

  it("takes an image and gives it back, byte for byte", async () => {
    const image = Buffer.concat([randomBytes(5 * MiB + 4096), Buffer.alloc(9 * MiB), randomBytes(18 * MiB - 4096)]);
    const source = bench.write("source.img", image);
    const other = urlOf(port, 1);
    await tool(bench, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, other);
    expect(await tool(bench, "qemu-img", "compare", "-f", "raw", "-F", "raw", source, other)).toContain("identical");
    await tool(bench, "qemu-img", "convert", "-f", "raw", "-O", "raw", other, bench.path("copy.img"));
    expect(await sha256(bench.path("copy.img"))).toBe(await sha256(source));
    await qemuIo(bench, other, "write -P 0xd1 20M 512");
    const compared = await bench.run("qemu-img", ["compare", "-f", "raw", "-F", "raw", source, other]);
    expect(compared.code, compared.text).toBe(1);
  });

  it("takes many requests at once", async () => {
    const bench512 = ["bench", "-f", "raw", "-d", "32", "-s", "4096", "-S", "77824", "-c", "2000"];
    expect(await tool(bench, "qemu-img", ...bench512, "-w", "--pattern=90", url)).toContain("Run completed");
    expect(await tool(bench, "qemu-img", ...bench512, url)).toContain("Run completed");
  });

  it("serves several sessions at once, each with its own data", async () => {
    const load = bench.run("iscsi-perf", ["-r", "-m", "16", "-b", "8", "-t", "3", url]);
    const sessions = await Promise.all([OpenSession.open(bench, url), OpenSession.open(bench, url)]);
    const logins = async () => {
      const { stdout } = await bench.antipode("ctl", "--dir", bench.dir, "show", "sessions");
      return stdout.match(/^iqn\./gm)?.length;
    };
    await until(
      async () => (await logins()) === 3,
      () => "three sessions at once",
    );
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        sessions.map(async (session, at) => {
          const [pattern, place] = [0x10 * (at + 1) + round, (at * 4 + 1) * MiB];
          await session.command(`write -P ${pattern} ${place} ${300 * KiB}`);
          for (const read of reads(pattern, place, 300 * KiB)) await session.command(read);
        }),
      );
    }
    for (const session of sessions) await session.close();
    expect((await load).text).toContain("finished.");
  });

  it("has all of it after a restart", async () => {
    const file = bench.path("alone.yaml");
    await qemuIo(bench, url, "write -P 0xe1 3M 1M", "write -P 0xe2 8000000 5000");
    expect(await site.stop()).toBe(0);
    site = await bench.serve(file);
    await qemuIo(bench, url, ...reads(0xe1, 3 * MiB, MiB), ...reads(0xe2, 8000000, 5000));
    site.signal("SIGKILL");
    await site.exited;
    site = await bench.serve(file);
    await qemuIo(bench, url, ...reads(0xe1, 3 * MiB, MiB), ...reads(0xe2, 8000000, 5000));
    expect(await site.stop()).toBe(0);
  });
});
