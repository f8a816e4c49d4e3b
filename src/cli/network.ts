/** `antipode network apply`: makes an appliance's network what its configuration says. */

import { type NetworkPlan, planNetwork, type Step } from "../appliance/network-plan.ts";
import { unreachable } from "../base/assert.ts";
import { OperatingError } from "../base/operating-error.ts";
import type { Config } from "../config/config.ts";
import { fileExists, readText, writeText } from "../platform/linux/host-files.ts";
import { networkLinks } from "../platform/linux/linux-links.ts";
import { runProgram, startProgram, stopByPid } from "../platform/linux/program.ts";
import { isAppliance } from "./appliance-places.ts";
import { readConfig } from "./config-file.ts";

export function applyNetwork(file: string, options: { dryRun: boolean }): void {
  const config = readConfig(file);
  if (config.network === undefined) process.stdout.write(`${file} has no 'network': the network stays as it is.\n`);
  else if (options.dryRun) printSteps(planNetwork(config.network, config.site.name, networkLinks()));
  else setUpNetwork(config);
}

function printSteps({ steps, missing }: NetworkPlan): void {
  for (const step of steps) process.stdout.write(`${describe(step)}\n`);
  for (const name of missing) process.stdout.write(`# there is no interface ${name}\n`);
}

/** Does nothing where the configuration says nothing of the network. */
export function setUpNetwork(config: Config): void {
  if (config.network === undefined) return;
  const { steps, missing } = planNetwork(config.network, config.site.name, networkLinks());
  if (!isAppliance()) {
    throw new OperatingError(
      "network.not-appliance",
      "This machine is no appliance, and its network is not Antipode's to change.",
      "Set up its network by its own means, or look at the steps with --dry-run.",
    );
  }
  const failures = steps.flatMap((step) => {
    const reason = carryOut(step);
    return reason === undefined ? [] : [`${describe(step)}: ${reason}`];
  });
  failures.push(...missing.map((name) => `there is no interface ${name}`));
  if (failures.length > 0) {
    throw new OperatingError(
      "network.incomplete",
      `Not all of the network could be set up: ${failures.join("; ")}.`,
      "Check cards and cables, and the section 'network' of the configuration.",
    );
  }
}

/** @returns why it failed */
function carryOut(step: Step): string | undefined {
  switch (step.kind) {
    case "run":
      return runProgram(step.program, step.args);
    case "start":
      startProgram(step.program, step.args);
      return undefined;
    case "write":
      try {
        writeText(step.path, step.text);
        return undefined;
      } catch (error) {
        if (error instanceof OperatingError) return error.what;
        throw error;
      }
    case "stop":
      if (fileExists(step.pidFile)) stopByPid(readText(step.pidFile));
      return undefined;
    default:
      return unreachable(step);
  }
}

/** As a shell would take it. */
function describe(step: Step): string {
  switch (step.kind) {
    case "run":
      return [step.program, ...step.args].join(" ");
    case "start":
      return `${[step.program, ...step.args].join(" ")} &`;
    case "write":
      return `printf ${JSON.stringify(step.text)} >${step.path}`;
    case "stop":
      return `kill $(cat ${step.pidFile})`;
    default:
      return unreachable(step);
  }
}
