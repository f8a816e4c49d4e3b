/**
 * The image with something on top of it that only tests have: the same boot loader, kernel, modules and files, and another
 * first process before `/init` or in its place. What is shipped is never made here.
 */

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Tree } from "../../image/cpio.ts";
import { fetchNamed, fetchPackages } from "../../image/debian.ts";
import { PARTITIONS } from "../../image/disk.ts";
import { UKI_NAME } from "../../image/identity.ts";
import { selectModules } from "../../image/modules.ts";
import { runText } from "../../image/run.ts";
import { makeUki } from "../../image/uki.ts";
import { tool } from "../conformance/initiator.ts";
import type { Workbench } from "../conformance/workbench.ts";
import { type BuiltImage, flash } from "./built-image.ts";
import { SHELL_SCRIPT, type ShellPort } from "./shell-port.ts";

const root = join(import.meta.dirname, "../..");
/** Between archives in one initramfs. */
const ALIGNMENT = 4;

const FIRST = `#!/bin/sh
export PATH=/bin:/sbin
{
  # What it needs is there once /init has loaded the drivers of what it found.
  until [ -d /sys/module/virtio_pci ]; do sleep 0.5; done
  until busybox insmod /test/virtio_console.ko 2>/dev/null; do sleep 0.5; done
  exec sh /test/shell-port
} &
exec /init
`;

/**
 * A shell for tests, on a virtio port, beside all that the image does. Root may look into the memory of other processes
 * there, which the image's settings forbid.
 *
 * @returns the path of a flash drive
 */
export function flashOpen(bench: Workbench, image: BuiltImage, name: string): Promise<string> {
  return flashWith(bench, image, name, wayIn);
}

/** What such an image says on its consoles once there is a shell. */
export const BARE_SHELL = "a bare shell";

/** Nothing but busybox's shell, from the same memory: how soon there can be anything. @returns the path of a flash drive */
export function flashBare(bench: Workbench, image: BuiltImage, name: string): Promise<string> {
  return flashWith(bench, image, name, () => {
    const tree = new Tree();
    tree.add("test/init", { kind: "file", mode: 0o755, content: new TextEncoder().encode(BARE_FIRST) });
    return tree;
  });
}

const BARE_FIRST = `#!/bin/sh
/bin/mount -t devtmpfs devtmpfs /dev
exec /bin/sh -c 'echo "<4>antipode: ${BARE_SHELL}" >/dev/kmsg; exec /bin/sh'
`;

/** @param addition of files, which has `test/init`; a later file takes the place of an earlier one */
async function flashWith(
  bench: Workbench,
  image: BuiltImage,
  name: string,
  addition: (kernelRoot: string, work: string) => Tree,
): Promise<string> {
  const work = bench.path(`${name}.work`);
  mkdirSync(work);
  const section = (which: string) => join(work, `was${which}`);
  const dumps = [".osrel", ".cmdline", ".initrd"].flatMap((which) => ["--dump-section", `${which}=${section(which)}`]);
  await tool(bench, "objcopy", ...dumps, image.uki, join(work, "copy.efi"));

  const { boot, kernel } = fetchPackages(join(root, "image/cache"));
  const uki = join(work, "changed.efi");
  makeUki(
    {
      bootRoot: boot.root,
      kernelRoot: kernel.root,
      osRelease: readFileSync(section(".osrel")),
      commandLine: `${readFileSync(section(".cmdline"), "utf8").replaceAll("\0", "")} rdinit=/test/init`,
      initramfs: together(readFileSync(section(".initrd")), addition(kernel.root, work).archive()),
    },
    work,
    uki,
  );
  const drive = await flash(bench, image, name);
  const partition = `${drive}@@${PARTITIONS.efi.start}`;
  await tool(bench, "mcopy", "-o", "-i", partition, uki, `::/EFI/Linux/${UKI_NAME}`);
  return drive;
}

function together(first: Uint8Array, second: Uint8Array): Uint8Array {
  const padding = new Uint8Array((ALIGNMENT - (first.length % ALIGNMENT)) % ALIGNMENT);
  return Buffer.concat([first, padding, second]);
}

function wayIn(kernelRoot: string, work: string): Tree {
  const tree = new Tree();
  const add = (path: string, content: Uint8Array | string, mode = 0o644) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    tree.add(path, { kind: "file", mode, content: bytes });
  };
  const modules = selectModules(kernelRoot, ["virtio_console"], join(work, "modules"));
  const console = modules.files.find((path) => path.endsWith("/virtio_console.ko"));
  if (console === undefined) throw new Error("the kernel has no virtio_console");
  add("test/virtio_console.ko", readFileSync(join(modules.root, console)));
  // The shell opens it for what runs beside it, before /init has mounted the kernel's own.
  tree.add("dev/null", { kind: "device", major: 1, minor: 3 });
  add("test/init", FIRST, 0o755);
  add("test/shell-port", SHELL_SCRIPT, 0o755);
  const settings = readFileSync(join(root, "image/root/etc/sysctl.conf"), "utf8");
  add("etc/sysctl.conf", settings.replace(/^kernel\.yama\.ptrace_scope = 3$/m, "kernel.yama.ptrace_scope = 2"));
  return tree;
}

/** In the shell of such an image: the number of the site's process. */
export const SITE_PROCESS = "$(busybox ps -o pid,args | sed -n 's/^ *\\([0-9]*\\) antipode serve .*/\\1/p')";

/** Two bytes of x86-64: a jump to themselves. */
const JUMP_TO_ITSELF = "\\353\\376";

/**
 * Has the site process, from its next call of a function of the C library on, do that call for ever: the thread that
 * calls it goes on running, and does nothing else. What the function is made of is written over in this process alone.
 */
export async function wedge(shell: ShellPort, name: string): Promise<void> {
  const [libc] = fetchNamed(join(root, "image/cache"), ["libc6"]);
  const table = runText("readelf", ["-W", "--dyn-syms", join(libc.root, "lib/x86_64-linux-gnu/libc.so.6")]);
  const offset = new RegExp(`: ([0-9a-f]{16}) .* FUNC .* ${name}@@`).exec(table)?.[1];
  if (offset === undefined) throw new Error(`the C library has no function ${name}`);
  const process = `/proc/${SITE_PROCESS}`;
  const start = `0x$(grep -m 1 libc.so.6 ${process}/maps | cut -d - -f 1)`;
  const write = `busybox dd of=${process}/mem bs=1 seek=$((${start} + 0x${offset})) conv=notrunc`;
  await shell.must(`busybox printf '${JUMP_TO_ITSELF}' | ${write}`);
}
