/**
 * What the site process of a configuration has to be given, where it runs as a user without rights: devices, and
 * capabilities. Everything else that a site does, any process may do. Pure; the appliance's scripts give it.
 */

import type { Config } from "../config/config.ts";

export interface SiteRights {
  /** Paths of drives, of the journal's device and of the watchdog, each once. */
  readonly devices: readonly string[];
  /** As capabilities(7) names them, in small letters. */
  readonly capabilities: readonly "net_bind_service"[];
}

/** Below it any process may listen; the others are for those with a capability. */
const PORT_FREE_MIN = 1024;
/** Of characters that mean nothing to a shell, so that a path is one device whatever the configuration says. */
const DEVICE = /^\/dev\/[\w.:=@+,/-]+$/;

export function rightsOf(config: Config): SiteRights {
  const paths = [
    ...config.drives.map(({ path }) => path),
    config.journal.device,
    ...(config.watchdog === undefined ? [] : [config.watchdog.device]),
  ];
  const target = config.role === "primary" ? config.target.listen : [];
  const ports = [...target, ...(config.link === undefined ? [] : [config.link.listen])].map(({ port }) => port);
  return {
    devices: [...new Set(paths)].filter((path) => DEVICE.test(path)),
    capabilities: ports.some((port) => port > 0 && port < PORT_FREE_MIN) ? ["net_bind_service"] : [],
  };
}

/** A line for each, for scripts. */
export function renderRights({ devices, capabilities }: SiteRights): string {
  return [...devices.map((path) => `device ${path}\n`), ...capabilities.map((name) => `capability ${name}\n`)].join("");
}
