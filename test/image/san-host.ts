/**
 * A SAN host: a virtual machine with Debian's kernel, open-iscsi and multipath, that tests give commands to. It has nothing
 * that outlasts its end but what it wrote to its LUNs.
 */

import type { Running, Workbench } from "../conformance/workbench.ts";
import type { Ethernet } from "./ethernet.ts";
import { sanHostSystem } from "./san-host-system.ts";
import { type Answer, ShellPort } from "./shell-port.ts";

const MEMORY_MIB = 768;
const LOGIN_DEADLINE_MS = 120_000;

export interface Card {
  readonly network: Ethernet;
  readonly mac: string;
  /** With the length of its network's prefix. */
  readonly address: string;
}

export class SanHost {
  readonly #machine: Running;
  readonly #shell: ShellPort;

  private constructor(machine: Running, shell: ShellPort) {
    this.#machine = machine;
    this.#shell = shell;
  }

  /** @param cards its network: eth0, eth1 and so on */
  static async boot(bench: Workbench, name: string, cards: readonly Card[]): Promise<SanHost> {
    const { kernel, initramfs } = await sanHostSystem();
    const socket = bench.path(`${name}.shell`);
    const machine = bench.start("setpriv", [
      ...["--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none"],
      ...["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", `${MEMORY_MIB}M`],
      ...["-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 no_timer_check panic=-1 loglevel=4"],
      ...["-chardev", "stdio,id=line,signal=off", "-serial", "chardev:line"],
      ...ShellPort.device(socket),
      ...cards.flatMap(({ network, mac }) => network.card(mac)),
    ]);
    const host = new SanHost(machine, await ShellPort.open(socket));
    await host.#shell.answers();
    for (const [at, { address }] of cards.entries()) {
      await host.must(`ip addr add ${address} dev eth${at} && ip link set eth${at} up`);
    }
    return host;
  }

  /** All that its console has said. */
  get line(): string {
    return this.#machine.text.replaceAll("\r", "");
  }

  run(command: string, deadlineMs?: number): Promise<Answer> {
    return this.#shell.run(command, deadlineMs);
  }

  must(command: string, deadlineMs?: number): Promise<string> {
    return this.#shell.must(command, deadlineMs);
  }

  /** Finds the target at each portal and logs in there. */
  async login(portals: readonly string[]): Promise<void> {
    for (const portal of portals) {
      await this.must(`iscsiadm -m discovery -t sendtargets -p ${portal}`, LOGIN_DEADLINE_MS);
    }
    await this.must("iscsiadm -m node --login", LOGIN_DEADLINE_MS);
    await this.must("udevadm settle");
  }

  /** Cuts its power. */
  async powerCut(): Promise<void> {
    await this.#machine.stop("SIGKILL");
  }
}
