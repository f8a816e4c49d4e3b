/**
 * The demo's sites: a primary and its backup in two towns, two remote mirror sites, and a relay point on the way to a
 * third. Pure: from where, how large and which ports, to the configuration of each site.
 */

import { stringify } from "yaml";

export interface DemoOptions {
  readonly dir: string;
  /** The iSCSI portal's TCP port; the site links take the ports from `LINK_PORT_OFFSET` above it on. */
  readonly port: number;
  /** Size of LUN 0 in bytes, a multiple of 4 MiB. */
  readonly sizeBytes: number;
  readonly journalBytes: number;
}

export interface DemoSite {
  readonly name: string;
  readonly what: string;
  /** The YAML's path and content. */
  readonly file: string;
  readonly yaml: string;
}

export const DEMO_IQN = "iqn.2026-11.dev.antipode:demo";
const HOST = "127.0.0.1";
/** So that the standard iSCSI port 3260 gives 7400 to the first link. */
const LINK_PORT_OFFSET = 4140;
const MiB = 1024 * 1024;

const LOCATIONS = {
  denver: { latitude: 39.74, longitude: -104.99 },
  springs: { latitude: 38.83, longitude: -104.82 },
  boulder: { latitude: 40.01, longitude: -105.27 },
  pueblo: { latitude: 38.25, longitude: -104.61 },
  "relay-east": { latitude: 39.1, longitude: -94.58 },
  boston: { latitude: 42.36, longitude: -71.06 },
} as const;

type Name = keyof typeof LOCATIONS;
const NAMES = Object.keys(LOCATIONS) as Name[];

/** Drives and level of each site's array; the relay point stores nothing. */
const ARRAYS: Readonly<Record<Name, { readonly level: 1 | 5; readonly drives: number } | undefined>> = {
  denver: { level: 5, drives: 3 },
  springs: { level: 1, drives: 2 },
  boulder: { level: 5, drives: 3 },
  pueblo: { level: 1, drives: 2 },
  "relay-east": undefined,
  boston: { level: 1, drives: 1 },
};

export function demoSites(options: DemoOptions): readonly DemoSite[] {
  const { port } = options;
  return [
    site(options, "denver", "the primary: hosts mount their LUNs here", {
      role: "primary",
      target: { iqn: DEMO_IQN, listen: [`${HOST}:${port}`], reservations: "denver/reservations" },
      sites: addresses(port, ["springs", "boulder", "pueblo", "relay-east", "boston"]),
      mirror: { legs: [["springs"], ["boulder"], ["pueblo"], ["relay-east", "boston"]], onLegLoss: "suspend" },
    }),
    site(options, "springs", "the backup appliance", fed(port, "backup", "springs", "denver")),
    site(options, "boulder", "a remote mirror site", fed(port, "mirror", "boulder", "denver")),
    site(options, "pueblo", "a remote mirror site", fed(port, "mirror", "pueblo", "denver")),
    site(options, "relay-east", "a relay point without storage", {
      ...fed(port, "relay", "relay-east", "denver"),
      sites: addresses(port, ["denver", "boston"]),
      relay: { forward: ["boston"], acknowledge: "hop" },
    }),
    site(
      options,
      "boston",
      "the remote mirror site at the end of the relay leg",
      fed(port, "mirror", "boston", "relay-east"),
    ),
  ];
}

function fed(port: number, role: string, name: Name, from: Name): Record<string, unknown> {
  return { role, sites: addresses(port, [from]), link: { listen: linkAddress(port, name), from: [from] } };
}

function site(options: DemoOptions, name: Name, what: string, sections: Record<string, unknown>): DemoSite {
  const array = ARRAYS[name];
  const volume = { size: bytes(options.sizeBytes), lun: 0 };
  const config = {
    site: { name, location: LOCATIONS[name] },
    group: "demo",
    ...sections,
    ...(array === undefined
      ? { volumes: { lun0: volume } }
      : {
          drives: Array.from({ length: array.drives }, (_, slot) => ({
            path: `${name}/drive-${slot}`,
            size: bytes(driveBytes(array, options.sizeBytes)),
          })),
          arrays: { main: { level: array.level, drives: Array.from({ length: array.drives }, (_, slot) => slot) } },
          volumes: { lun0: { ...volume, array: "main" } },
        }),
    journal: { device: `${name}/journal`, size: bytes(options.journalBytes), window: "32MiB", cache: "128MiB" },
    control: { socket: `${name}.sock` },
  };
  return { name, what, file: `${options.dir}/${name}.yaml`, yaml: stringify(config) };
}

/** The member's share of the volume, its checksums, and room for the array's own records. */
function driveBytes(array: { readonly level: 1 | 5; readonly drives: number }, volumeBytes: number): number {
  const share = array.level === 5 ? volumeBytes / (array.drives - 1) : volumeBytes;
  return Math.ceil((share * 1.01) / MiB) * MiB + 64 * MiB;
}

function addresses(port: number, names: readonly Name[]): Record<string, unknown> {
  return Object.fromEntries(
    names.map((name) => [name, { address: linkAddress(port, name), location: LOCATIONS[name] }]),
  );
}

function linkAddress(port: number, name: Name): string {
  return `${HOST}:${port + LINK_PORT_OFFSET + NAMES.indexOf(name)}`;
}

function bytes(count: number): string {
  return count % MiB === 0 ? `${count / MiB}MiB` : `${count}B`;
}
