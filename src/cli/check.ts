/** `antipode check`: says whether a configuration is valid, and what is unwise about it. */

import { describePlacement } from "../config/placement.ts";
import { readConfig } from "./config-file.ts";

export function check(file: string, options: { json: boolean }): void {
  const config = readConfig(file);
  const placement = describePlacement(config);
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ valid: true, ...placement })}\n`);
    return;
  }
  process.stdout.write(`${file}: valid. Site ${config.site.name}, ${config.role} of group ${config.group}.\n`);
  for (const { from, to, kilometres } of placement.distances) {
    process.stdout.write(`  ${from} to ${to}: ${Math.round(kilometres)} km\n`);
  }
  for (const warning of placement.warnings) process.stdout.write(`  warning: ${warning.text}\n`);
}
