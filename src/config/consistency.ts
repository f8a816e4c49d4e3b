/**
 * What has to hold between the sections of a configuration: that names mean something, that nothing is used twice,
 * and that a site has what its role needs and nothing that its role has no use for.
 *
 * A section with faults of its own is absent here (of a section by name, the entries with faults), and what would
 * need it is left unchecked.
 */

import { formatAddress } from "../platform/network.ts";
import { checkChap } from "./chap-consistency.ts";
import { checkHosts } from "./host-consistency.ts";
import { nearest } from "./nearest.ts";
import { checkNetwork } from "./network-consistency.ts";
import type { KeyPath } from "./problem.ts";
import { formatDuration } from "./quantity.ts";
import type { Sections } from "./schema.ts";

export interface Findings {
  /** @param path where the value that is wrong stands */
  add(path: KeyPath, message: string): void;
  /** As `add`, of a key that should not be there. */
  addKey(path: KeyPath, message: string): void;
  /** The names that a section's keys give, also where the values below them are wrong. */
  namesIn(section: "sites" | "arrays" | "volumes"): readonly string[];
  /** One spelling of all the paths that lead to one device or file. */
  samePath(path: string): string;
}

type Known = Partial<Sections>;

/** Drives that a level needs at the least. */
const DRIVES_MIN: Readonly<Record<number, number>> = { 1: 1, 5: 3 };

/** Next sites of a relay point. */
const FORWARD_MAX = 1;

const ROLE_WORDS = {
  primary: "the primary",
  backup: "a backup",
  mirror: "a mirror site",
  relay: "a relay point",
} as const;

/** What a role must have, and what it must not have with the reason. */
const ROLE_SECTIONS = {
  primary: { needs: ["target"], refuses: { relay: "a primary sends along 'mirror.legs'" } },
  backup: {
    needs: ["link"],
    refuses: {
      target: "only the primary serves hosts",
      mirror: "it forwards to nothing until it is promoted",
      relay: "it forwards to nothing until it is promoted",
    },
  },
  mirror: {
    needs: ["link", "drives", "arrays"],
    refuses: {
      target: "only the primary serves hosts",
      mirror: "only the primary has legs; its role is named 'mirror' since it is the other end of one",
      relay: "it is the end of its leg",
    },
  },
  relay: {
    needs: ["link", "relay"],
    refuses: {
      target: "only the primary serves hosts",
      mirror: "only the primary has legs; a relay point names its next site in 'relay.forward'",
    },
  },
} as const satisfies Record<
  string,
  { needs: readonly (keyof Sections)[]; refuses: Partial<Record<keyof Sections, string>> }
>;

export function checkConsistency(known: Known, given: ReadonlySet<string>, findings: Findings): void {
  checkRole(known, given, findings);
  checkStorage(known, given, findings);
  checkDrives(known, findings);
  checkBattery(known, findings);
  checkArrays(known, findings);
  checkVolumes(known, findings);
  checkSites(known, findings);
  checkLegs(known, findings);
  checkRelay(known, findings);
  checkLink(known, findings);
  checkTarget(known, findings);
  checkManagement(known, findings);
  if (known.network !== undefined) checkNetwork(known.network, findings);
}

function checkRole({ role }: Known, given: ReadonlySet<string>, { add, addKey }: Findings): void {
  if (role === undefined) return;
  const who = ROLE_WORDS[role];
  for (const needed of ROLE_SECTIONS[role].needs) {
    if (!given.has(needed)) add([needed], `is missing: ${who} needs it`);
  }
  for (const [refused, reason] of Object.entries(ROLE_SECTIONS[role].refuses)) {
    if (given.has(refused)) addKey([refused], `does not belong to ${who}: ${reason}`);
  }
}

function checkStorage({ role, arrays, mirror }: Known, given: ReadonlySet<string>, { add, namesIn }: Findings): void {
  if (arrays === undefined || namesIn("arrays").length > 0) return;
  const sends = given.has("mirror") && mirror?.legs.length !== 0;
  if (role === "mirror" && given.has("arrays")) {
    add(["arrays"], "is empty: a mirror site needs an array to store on");
  }
  if (role === "primary" && !sends) add(["arrays"], "is missing: a primary without legs needs an array to store on");
}

function checkDrives({ drives, journal, watchdog }: Known, { add, samePath }: Findings): void {
  const users = new Map<string, string>();
  for (const [at, { path }] of (drives ?? []).entries()) {
    const first = users.get(samePath(path));
    if (first === undefined) users.set(samePath(path), `drives[${at}]`);
    else add(["drives", at], `${path} is the same drive as ${first}; list each drive once`);
  }
  const user = journal && users.get(samePath(journal.device));
  if (journal && user)
    add(["journal", "device"], `${journal.device} is also ${user}; the journal needs a device of its own`);
  if (watchdog === undefined) return;
  const isJournal = journal !== undefined && samePath(journal.device) === samePath(watchdog.device);
  const other = isJournal ? "the journal's" : users.get(samePath(watchdog.device));
  if (other !== undefined) add(["watchdog", "device"], `${watchdog.device} is also ${other}; name a watchdog`);
}

function checkBattery({ journal }: Known, { add }: Findings): void {
  if (journal?.battery === undefined) return;
  const given = Object.values(journal.battery).filter((source) => source !== undefined).length;
  const path = ["journal", "battery"];
  if (given === 0) add(path, "is empty: give nut or sysfs, or leave it out where there is no battery");
  if (given > 1) add(path, "has nut and sysfs: a journal has one battery, which is read in one way");
}

function checkArrays({ drives, arrays }: Known, { add, samePath }: Findings): void {
  if (drives === undefined || arrays === undefined) return;
  const users = new Map<number, string>();
  for (const [name, { level, drives: members }] of Object.entries(arrays)) {
    const path = ["arrays", name, "drives"];
    if (members.length < DRIVES_MIN[level]) {
      add(path, `has ${members.length} of the ${DRIVES_MIN[level]} drives that level ${level} needs at the least`);
    }
    for (const [at, member] of members.entries()) {
      const index = driveIndex(drives, member, samePath);
      if (index === undefined && typeof member === "number") {
        add(
          [...path, at],
          drives.length === 0
            ? `there is no drive ${member}: 'drives' lists none`
            : `there is no drive ${member}: 'drives' has 0 to ${drives.length - 1}`,
        );
      } else if (index === undefined) {
        add([...path, at], `${member} is not in 'drives'; list it there first`);
      } else if (users.has(index)) {
        const user = users.get(index);
        add(
          [...path, at],
          `drive ${member} is in ${user === name ? "this array already" : `array ${user} already`}; a drive serves one array, once`,
        );
      } else {
        users.set(index, name);
      }
    }
  }
}

/** The place in `drives` that an array's member means. */
export function driveIndex(
  drives: Sections["drives"],
  member: number | string,
  samePath: (path: string) => string,
): number | undefined {
  const index =
    typeof member === "number" ? member : drives.findIndex(({ path }) => samePath(path) === samePath(member));
  return index >= 0 && index < drives.length ? index : undefined;
}

function checkVolumes({ volumes, arrays }: Known, { add, namesIn }: Findings): void {
  if (volumes === undefined) return;
  const arrayNames = namesIn("arrays");
  const luns = new Map<number, string>();
  if (namesIn("volumes").length === 0) add(["volumes"], "is empty: give at least one volume");
  for (const [name, { lun, array }] of Object.entries(volumes)) {
    const other = luns.get(lun);
    if (other === undefined) luns.set(lun, name);
    else add(["volumes", name, "lun"], `LUN ${lun} is already volume ${other}; each volume needs a LUN of its own`);
    if (array !== undefined && !arrayNames.includes(array)) {
      add(["volumes", name, "array"], unknownName("array", array, arrayNames, "arrays"));
    }
    if (array === undefined && arrays !== undefined && arrayNames.length > 0) {
      add(["volumes", name, "array"], `is missing: give the array that stores it (${arrayNames.join(", ")})`);
    }
  }
}

function checkSites({ site, sites }: Known, { add }: Findings): void {
  const users = new Map<string, string>();
  for (const [name, { address }] of Object.entries(sites ?? {})) {
    if (name === site?.name) add(["sites", name], "is this site itself; list the other sites only");
    const endpoint = formatAddress(address);
    const other = users.get(endpoint);
    if (other === undefined) users.set(endpoint, name);
    else add(["sites", name, "address"], `${endpoint} is also the address of ${other}`);
  }
}

function checkLegs({ site, mirror }: Known, findings: Findings): void {
  const users = new Set<string>();
  for (const [leg, members] of (mirror?.legs ?? []).entries()) {
    for (const [at, name] of members.entries()) {
      const path = ["mirror", "legs", leg, at];
      checkSiteName(path, name, site, findings);
      if (users.has(name)) findings.add(path, `${name} is in the legs already; a site stands in one leg, once`);
      users.add(name);
    }
  }
}

function checkRelay({ site, relay, link }: Known, findings: Findings): void {
  for (const [at, name] of (relay?.forward ?? []).entries()) {
    const path = ["relay", "forward", at];
    if (at === FORWARD_MAX)
      findings.add(path, "a relay point of this version forwards to one site; leave the others out");
    checkSiteName(path, name, site, findings);
    if (relay?.forward.indexOf(name) !== at) findings.add(path, `${name} is listed twice`);
    if (link?.from?.includes(name))
      findings.add(path, `${name} feeds this site ('link.from'), so its writes would go in a circle`);
  }
}

function checkLink({ site, role, link }: Known, { add }: Findings): void {
  if (link === undefined) return;
  if (link.from === undefined && role !== undefined && role !== "primary") {
    add(["link", "from"], `is missing: ${ROLE_WORDS[role]} needs the names of the sites that may feed it`);
  }
  for (const [at, name] of (link.from ?? []).entries()) {
    if (name === site?.name) add(["link", "from", at], `${name} is this site itself`);
    if (link.from?.indexOf(name) !== at) add(["link", "from", at], `${name} is listed twice`);
  }
  if (link.silence < 2 * link.heartbeat) {
    const [silence, heartbeat] = [formatDuration(link.silence), formatDuration(link.heartbeat)];
    add(
      ["link", "silence"],
      `${silence} is too short for a heartbeat of ${heartbeat}: give at least twice the heartbeat`,
    );
  }
}

function checkTarget({ target, link }: Known, findings: Findings): void {
  const { add } = findings;
  const endpoints = (target?.listen ?? []).map(formatAddress);
  for (const [at, endpoint] of endpoints.entries()) {
    if (endpoints.indexOf(endpoint) !== at) add(["target", "listen", at], `${endpoint} is listed twice`);
  }
  for (const [at, initiator] of (target?.initiators ?? []).entries()) {
    if (target?.initiators?.indexOf(initiator) !== at)
      add(["target", "initiators", at], `${initiator} is listed twice`);
  }
  if (target !== undefined) checkHosts(target, findings);
  if (target?.chap !== undefined) checkChap(target.chap, target, add);
  const listen = link && formatAddress(link.listen);
  if (link && link.listen.port !== 0 && listen !== undefined && endpoints.includes(listen)) {
    add(["link", "listen"], `${listen} is also in 'target.listen'; the link needs a port of its own`);
  }
}

function checkManagement({ target, link, management }: Known, { add }: Findings): void {
  if (management === undefined || management.listen.port === 0) return;
  const listen = formatAddress(management.listen);
  const isTarget = target?.listen.some((endpoint) => formatAddress(endpoint) === listen);
  const other = isTarget ? "in 'target.listen'" : link && formatAddress(link.listen) === listen ? "'link.listen'" : "";
  if (other) add(["management", "listen"], `${listen} is also ${other}; management needs a port of its own`);
}

function checkSiteName(path: KeyPath, name: string, site: Sections["site"] | undefined, findings: Findings): void {
  const siteNames = findings.namesIn("sites");
  if (name === site?.name) findings.add(path, `${name} is this site itself; name the other sites only`);
  else if (!siteNames.includes(name)) findings.add(path, unknownName("site", name, siteNames, "sites"));
}

function unknownName(kind: string, name: string, known: readonly string[], section: string): string {
  const guess = nearest(name, known);
  const hint =
    guess !== undefined
      ? `did you mean ${guess}?`
      : known.length > 0
        ? `'${section}' has ${known.join(", ")}`
        : `'${section}' lists none`;
  return `there is no ${kind} ${name}: ${hint}`;
}
