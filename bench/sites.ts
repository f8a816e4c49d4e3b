/** The configurations of the systems that are measured: one site alone, and a primary with legs. Pure. */

import { TARGET_IQN } from "./target.ts";

const MiB = 1024 * 1024;
const HOST = "127.0.0.1";
/** The demo's journal. */
const JOURNAL_BYTES = 256 * MiB;
/** Checksums of the volume's blocks and the array's own records. */
const DRIVE_OVERHEAD_BYTES = 128 * MiB;

export const PRIMARY = "primary";

/** Sites of a leg in the order that a write travels it: all but the last are relay points without storage. */
export type Leg = readonly string[];

export interface SystemPlan {
  readonly volumeBytes: number;
  /** The read cache of each site. */
  readonly cacheBytes: number;
  readonly blockBytes: number;
  readonly legs: readonly Leg[];
  readonly targetPort: number;
  /** One for the primary, then one for each site of the legs in order. */
  readonly linkPorts: readonly number[];
}

export interface SiteConfig {
  readonly name: string;
  /** The site's YAML; JSON is YAML. Its paths are relative to the file's folder. */
  readonly config: Readonly<Record<string, unknown>>;
}

export function systemSites(plan: SystemPlan): readonly SiteConfig[] {
  const members = plan.legs.flat();
  const port = (name: string) => plan.linkPorts[name === PRIMARY ? 0 : members.indexOf(name) + 1];
  const addresses = (names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, { address: `${HOST}:${port(name)}` }]));
  const primary: SiteConfig = {
    name: PRIMARY,
    config: {
      ...common(plan, PRIMARY),
      ...storage(plan, PRIMARY),
      role: "primary",
      target: { iqn: TARGET_IQN, listen: [`${HOST}:${plan.targetPort}`] },
      ...(members.length === 0 ? {} : { sites: addresses(members), mirror: { legs: plan.legs } }),
    },
  };
  return [
    primary,
    ...plan.legs.flatMap((leg) =>
      leg.map((name, at): SiteConfig => {
        const from = at === 0 ? PRIMARY : leg[at - 1];
        const link = { listen: `${HOST}:${port(name)}`, from: [from] };
        if (at === leg.length - 1) {
          const sections = { role: "mirror", link, sites: addresses([from]) };
          return { name, config: { ...common(plan, name), ...storage(plan, name), ...sections } };
        }
        const next = leg[at + 1];
        const relay = { forward: [next], acknowledge: "hop" };
        const volumes = { bench: volume(plan) };
        const sections = { role: "relay", link, relay, volumes, sites: addresses([from, next]) };
        return { name, config: { ...common(plan, name), ...sections } };
      }),
    ),
  ];
}

function common({ cacheBytes }: SystemPlan, name: string): Readonly<Record<string, unknown>> {
  return {
    site: { name },
    group: "bench",
    journal: { device: `${name}-journal`, size: bytes(JOURNAL_BYTES), cache: bytes(cacheBytes) },
    control: { socket: `${name}.sock` },
  };
}

function storage(plan: SystemPlan, name: string): Readonly<Record<string, unknown>> {
  return {
    drives: [{ path: `${name}-drive`, size: bytes(plan.volumeBytes + DRIVE_OVERHEAD_BYTES) }],
    arrays: { main: { level: 1, drives: [0] } },
    volumes: { bench: { ...volume(plan), array: "main" } },
  };
}

function volume({ volumeBytes, blockBytes }: SystemPlan): Readonly<Record<string, unknown>> {
  return { size: bytes(volumeBytes), lun: 0, blockSize: blockBytes };
}

function bytes(count: number): string {
  return count % MiB === 0 ? `${count / MiB}MiB` : `${count}B`;
}
