/** What has to hold of the hosts that a target is divided among: that each initiator is one of them, and each LUN one volume. */

import { formatAddress } from "../platform/network.ts";
import type { Findings } from "./consistency.ts";
import { nearest } from "./nearest.ts";
import type { Sections } from "./schema.ts";

type Target = NonNullable<Sections["target"]>;

export function checkHosts({ hosts, initiators, listen }: Target, { add, addKey, namesIn }: Findings): void {
  if (hosts === undefined) return;
  const at = ["target", "hosts"];
  if (Object.keys(hosts).length === 0) add(at, "is empty: nobody could log in; leave it out, or give a host");
  if (initiators !== undefined) {
    addKey(["target", "initiators"], "does not go with 'target.hosts': give each initiator at its host");
  }
  const portals = listen.map(formatAddress);
  const volumes = namesIn("volumes");
  const owners = new Map<string, string>();
  for (const [name, host] of Object.entries(hosts)) {
    for (const [place, initiator] of host.initiators.entries()) {
      const owner = owners.get(initiator);
      const where = owner === name ? "listed twice" : `also one of host ${owner}`;
      if (owner !== undefined) add([...at, name, "initiators", place], `${initiator} is ${where}`);
      owners.set(initiator, name);
    }
    const luns = new Map<number, string>();
    const given = Object.entries(host.volumes ?? {});
    if (host.volumes !== undefined && given.length === 0) {
      add([...at, name, "volumes"], "is empty: give volumes with their LUNs, or leave it out for all of them");
    }
    for (const [volume, lun] of given) {
      const path = [...at, name, "volumes", volume];
      const other = luns.get(lun);
      if (other !== undefined) add(path, `LUN ${lun} is volume ${other} already for this host`);
      luns.set(lun, volume);
      if (!volumes.includes(volume)) {
        const guess = nearest(volume, volumes);
        const hint = guess === undefined ? `'volumes' has ${volumes.join(", ")}` : `did you mean ${guess}?`;
        add(path, `there is no volume ${volume}: ${hint}`);
      }
    }
    for (const [place, portal] of (host.portals ?? []).map(formatAddress).entries()) {
      if (!portals.includes(portal)) {
        add([...at, name, "portals", place], `${portal} is not in 'target.listen', which has ${portals.join(", ")}`);
      }
    }
  }
}
