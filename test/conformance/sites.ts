/** Configurations of small sites over files, for tests: as plain objects, since JSON is YAML. */

import type { Workbench } from "./workbench.ts";

export const IQN = "iqn.2026-11.dev.antipode:test";
export const HOST = "127.0.0.1";
export const GROUP = "test";

export type Config = Readonly<Record<string, unknown>>;

export interface AloneOptions {
  readonly port: number;
  readonly name?: string;
  readonly volumeMiB?: number;
  readonly volumes?: number;
  readonly blockSize?: 512 | 4096;
  readonly level?: 1 | 5;
  readonly drives?: number;
  readonly journalMiB?: number;
}

/** A primary without legs, named `alone`. Its files are `NAME-drive-0` and so on, `NAME-journal` and `NAME.sock`. */
export function alone(options: AloneOptions): Config {
  return { ...primary(options), ...storage(options) };
}

/** A primary whose legs are one remote site each. */
export function withLegs(options: AloneOptions, legs: Readonly<Record<string, number>>, linkPort?: number): Config {
  return {
    ...alone(options),
    sites: Object.fromEntries(Object.entries(legs).map(([name, port]) => [name, { address: `${HOST}:${port}` }])),
    mirror: { legs: Object.keys(legs).map((name) => [name]) },
    ...(linkPort === undefined ? {} : { link: { listen: `${HOST}:${linkPort}`, ...FAST } }),
  };
}

/** A remote mirror site that `from` feeds. */
export function mirrorSite(options: AloneOptions & { readonly name: string }, from: string): Config {
  return {
    ...common(options),
    ...storage(options),
    role: "mirror",
    link: { listen: `${HOST}:${options.port}`, from: [from], ...FAST },
  };
}

const FAST = { heartbeat: "100ms", silence: "1s" };

export function urlOf(port: number, lun = 0): string {
  return `iscsi://${HOST}:${port}/${IQN}/${lun}`;
}

/** Writes the configuration as `NAME.yaml`. @returns its path */
export function put(bench: Workbench, config: Config, name = nameOf(config)): string {
  return bench.write(`${name}.yaml`, JSON.stringify(config, undefined, 1));
}

function nameOf(config: Config): string {
  return (config.site as { name: string }).name;
}

function common({ name = "alone", journalMiB = 16 }: AloneOptions): Config {
  return {
    site: { name },
    group: GROUP,
    journal: { device: `${name}-journal`, size: `${journalMiB}MiB`, window: "8MiB", cache: "8MiB" },
    control: { socket: `${name}.sock` },
  };
}

function primary(options: AloneOptions): Config {
  return { ...common(options), role: "primary", target: { iqn: IQN, listen: [`${HOST}:${options.port}`] } };
}

function storage(options: AloneOptions): Config {
  const { name = "alone", volumeMiB = 8, volumes = 1, blockSize = 512, level = 1, drives = 1 } = options;
  const slots = Array.from({ length: drives }, (_, slot) => slot);
  const size = `${volumeMiB * volumes + 24}MiB`;
  return {
    drives: slots.map((slot) => ({ path: `${name}-drive-${slot}`, size })),
    arrays: { main: { level, drives: slots } },
    volumes: Object.fromEntries(
      Array.from({ length: volumes }, (_, lun) => [
        `lun${lun}`,
        { array: "main", size: `${volumeMiB}MiB`, lun, blockSize },
      ]),
    ),
  };
}
