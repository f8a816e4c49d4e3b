/**
 * The `antipode` command. Each of its commands is loaded only when it is called for: an appliance waits for starts of this program
 * when it boots.
 */

import { Command, CommanderError } from "commander";
import type { ConsoleOptions } from "./cli/console.ts";
import type { CtlOptions } from "./cli/ctl.ts";
import type { DemoFlags } from "./cli/demo.ts";
import { EXIT, fail } from "./cli/failure.ts";
import { addFirmwareCommands, withPlaces } from "./cli/firmware-commands.ts";
import type { InspectOptions } from "./cli/inspect.ts";
import type { ManagementOptions } from "./cli/management.ts";
import type { RevisionOptions } from "./cli/revisions.ts";
import type { ServeOptions } from "./cli/serve.ts";
import { VERSION } from "./site/version.ts";

const program = new Command("antipode")
  .description("Storage appliance: iSCSI LUNs whose every write is held at two or more other sites")
  .version(VERSION)
  .showHelpAfterError("(antipode --help lists the commands)")
  .exitOverride();

program
  .command("serve")
  .description("run one site, any role")
  .argument("<config>", "the site's YAML")
  .option("--overwrite", "lay out journal and arrays anew: EVERYTHING on the configured drives is lost", false)
  .option(
    "--accept-dirty-degraded",
    "use an array that lost a drive in a crash: blocks in flight then may be torn",
    false,
  )
  .action(async (file: string, options: ServeOptions) => (await import("./cli/serve.ts")).serve(file, options));

program
  .command("demo")
  .description("run a whole system on this machine: primary, backup, two mirror sites, a relay point and one site more")
  .option("--dir <folder>", "where it keeps everything", "demo")
  .option("--port <number>", "the iSCSI portal's port on 127.0.0.1", "3260")
  .option("--size <size>", "size of LUN 0", "512MiB")
  .option("--journal <size>", "size of each site's journal", "128MiB")
  .action(async (flags: DemoFlags) => (await import("./cli/demo.ts")).demo(flags));

program
  .command("check")
  .description("validate a configuration and the placement of its sites")
  .argument("<config>", "the site's YAML")
  .option("--json", "for machines", false)
  .action(async (file: string, options: { json: boolean }) => (await import("./cli/check.ts")).check(file, options));

program
  .command("inspect")
  .description("assemble a stopped site's arrays and journal, read-only; read or export a volume")
  .argument("<config>", "the site's YAML")
  .option("--volume <name>", "read this volume whole, and so verify that every block of it can be read")
  .option("--export <file>", "write the volume into this new file")
  .option("--json", "for machines", false)
  .action(async (file: string, options: InspectOptions) => (await import("./cli/inspect.ts")).inspect(file, options));

program
  .command("ctl")
  .description("ask a running site; its command 'help' lists what it may be asked")
  .argument("<words...>", "the command")
  .option("--json", "for machines", false)
  .option("--site <name>", "the site, where several run on this machine")
  .option("--config <file>", "the site's YAML, to find its socket")
  .option("--socket <path>", "the site's control socket")
  .option("--dir <folder>", "the folder of control sockets, such as the demo's")
  .action(async (words: string[], options: CtlOptions) => {
    process.exitCode = await (await import("./cli/ctl.ts")).ctl(words, options);
  });

addFirmwareCommands(program);
program
  .command("console")
  .description("the interactive console, on this terminal or on a serial line; docs/console.md describes it")
  .option("--tty <device>", "a serial line, such as /dev/ttyS0, on which users log in")
  .option("--speed <baud>", "the line's speed: 9600, 19200, 38400, 57600 or 115200", "115200")
  .option("--terminal <kind>", "vt100, or dumb for one without cursor movement")
  .option("--revisions <folder>", "where revisions of the configuration and users are kept", "/config")
  .option("--apply <program>", "run after each change of the newest revision, with the path of its file")
  .option("--status <program>", "run before each login and by show appliance: what it says of the machine is shown")
  .option("--usb <program>", "run with attach before a file in /usb is used, and with detach after it")
  .option("--site <name>", "the site, where several run on this machine")
  .option("--config <file>", "the site's YAML, to find its socket")
  .option("--socket <path>", "the site's control socket")
  .option("--dir <folder>", "the folder of control sockets, such as the demo's")
  .action(async (options: ConsoleOptions) => (await import("./cli/console.ts")).runConsole(options));
withPlaces(
  program
    .command("management")
    .description("take updates over HTTP, as the configuration's 'management' says; docs/management.md describes it")
    .argument("<config>", "the site's YAML"),
)
  .option("--uploads <folder>", "where an update that is sent is kept until it is installed", "/tmp")
  .action(async (file: string, options: ManagementOptions) =>
    (await import("./cli/management.ts")).runManagement(file, options),
  );
const revisions = program.command("revisions").description("what a site on this machine is started from");
for (const [at, description] of [
  ["boot", "when the machine starts: goes back from a revision that was not confirmed"],
  ["current", "when only its process starts: the newest revision, confirmed or not"],
] as const) {
  revisions
    .command(at)
    .description(description)
    .option("--revisions <folder>", "where revisions of the configuration are kept", "/config")
    .option("--rights <file>", "a file for the devices and capabilities that its site process has to be given")
    .option("--network", "set up the appliance's network as it says")
    .action(async (options: RevisionOptions) => (await import("./cli/revisions.ts")).printRevision(at, options));
}
revisions
  .command("changes")
  .description("what has to be done anew for another configuration: network, site, both or nothing")
  .argument("<before>", "the YAML that the machine runs on")
  .argument("<after>", "the one that it is to run on")
  .action(async (before: string, after: string) => (await import("./cli/revisions.ts")).printChanges(before, after));
program
  .command("network")
  .description("set up an appliance's network as its configuration says")
  .command("apply")
  .argument("<config>", "the site's YAML")
  .option("--dry-run", "only print the steps; works on any machine", false)
  .action(async (file: string, options: { dryRun: boolean }) =>
    (await import("./cli/network.ts")).applyNetwork(file, options),
  );

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
  else fail(error);
}
