/**
 * Asymmetric logical unit access, SPC-4 section 5.15: the target port groups that a target is reached through, which may be
 * those of several servers, and what state each of them has. The states come from outside, and are the same for every
 * unit of the target.
 *
 * Invariants: a port is in exactly one group; a target is reached only through ports that are in one. A target port is known by
 * its portal group tag, which is its relative target port identifier as well. A server may have several.
 */

export const AccessState = {
  ActiveOptimized: 0x0,
  ActiveNonOptimized: 0x1,
  Standby: 0x2,
  Unavailable: 0x3,
  Offline: 0xe,
  Transitioning: 0xf,
} as const;

export interface PortGroup {
  /** TARGET PORT GROUP, 16 bits: the same at every server of the target. */
  readonly id: number;
  /** Portal group tags of its servers, 1 to 65535. */
  readonly ports: readonly number[];
  /** One of `AccessState`. */
  readonly state: number;
  /** PREF: hosts should use it where it is as good as others. */
  readonly preferred?: boolean;
}

export interface AccessChange {
  /** The `id` of the group. */
  readonly group: number;
  /** One of `AccessState`. */
  readonly state: number;
  /** As it was unless given. */
  readonly preferred?: boolean;
}

export interface PortGroupsSpec {
  readonly groups: readonly PortGroup[];
  /**
   * Carries out what a host asks for with SET TARGET PORT GROUPS; resolves with whether it was done, and then the groups have
   * these states. One call at a time; it goes on where its host waits no longer. Without it hosts can't change states.
   */
  readonly change?: (wishes: readonly AccessChange[], initiatorPort: string) => Promise<boolean>;
  /** What hosts are told of how long a change by the target takes at most: 1 to 255 seconds. Nothing unless given. */
  readonly transitionSeconds?: number;
}

/** Of REPORT TARGET PORT GROUPS: what has brought a group into its state. */
export const AlteredBy = {
  Nothing: 0,
  /** SET TARGET PORT GROUPS. */
  Host: 1,
  Target: 2,
} as const;

/** Ports of a group, and groups, are counted in a byte or fit a page. */
const GROUPS_MAX = 64;
const PORTS_MAX = 255;
const STATES: ReadonlySet<number> = new Set(Object.values(AccessState));

/** A group as it is now. */
interface Group extends PortGroup {
  readonly preferred: boolean;
  readonly alteredBy: number;
}

export class PortGroups {
  readonly #targetName: string;
  readonly #spec: PortGroupsSpec;
  /** Whether nothing was said of groups, so that every port of this server is in the one there is. */
  readonly #isOwn: boolean;
  #groups: readonly Group[];
  #local: readonly number[] = [];
  /** A host's wish is being carried out. */
  changing = false;

  /**
   * @param port the portal group tag of this server, for portals of which nothing else is said
   * @param spec one group with all ports of this server, active and optimized, unless given
   */
  constructor(targetName: string, port: number, spec?: PortGroupsSpec) {
    this.#targetName = targetName;
    this.#isOwn = spec === undefined;
    this.#spec = spec ?? { groups: [{ id: 1, ports: [], state: AccessState.ActiveOptimized }] };
    const { groups, transitionSeconds = 0 } = this.#spec;
    const ports = groups.flatMap((group) => group.ports);
    if (groups.length > GROUPS_MAX || new Set(groups.map(({ id }) => id)).size !== groups.length) {
      throw new RangeError(`target port groups: at most ${GROUPS_MAX}, with an id each`);
    }
    if (ports.length > PORTS_MAX || new Set(ports).size !== ports.length) {
      throw new RangeError(`target ports: at most ${PORTS_MAX}, each in one group`);
    }
    if (!ports.every((one) => isWord(one) && one > 0) || !groups.every(({ id }) => isWord(id))) {
      throw new RangeError("target ports are 1 to 65535, target port groups 0 to 65535");
    }
    if (spec !== undefined && !ports.includes(port))
      throw new RangeError(`the portal group ${port} is in no target port group`);
    if (!Number.isInteger(transitionSeconds) || transitionSeconds < 0 || transitionSeconds > 255) {
      throw new RangeError(`a transition of ${transitionSeconds} seconds`);
    }
    for (const { state } of groups) requireState(state);
    this.#groups = groups.map((group) => ({ preferred: false, ...group, alteredBy: AlteredBy.Nothing }));
  }

  /** This server has a portal of that group. @returns whether hosts have something to learn from it */
  use(port: number): boolean {
    if (this.#local.includes(port) || (!this.#isOwn && !this.has(port)) || this.#local.length === PORTS_MAX)
      return false;
    this.#local = [...this.#local, port].sort((a, b) => a - b);
    if (this.#isOwn) this.#groups = this.#groups.map((group) => ({ ...group, ports: this.#local }));
    return this.#isOwn;
  }

  /** Whether the target is reached through that port. */
  has(port: number): boolean {
    return this.#groups.some(({ ports }) => ports.includes(port));
  }

  /** The ports of this server, ascending. */
  get local(): readonly number[] {
    return this.#local;
  }

  get groups(): readonly Group[] {
    return this.#groups;
  }

  /** The group of a port that the target is reached through. */
  groupOf(port: number): Group {
    const group = this.#groups.find(({ ports }) => ports.includes(port));
    if (group === undefined) throw new Error(`the portal group ${port} is in no target port group`);
    return group;
  }

  get targetName(): string {
    return this.#targetName;
  }

  get change(): PortGroupsSpec["change"] {
    return this.#spec.change;
  }

  get transitionSeconds(): number {
    return this.#spec.transitionSeconds ?? 0;
  }

  /** The SCSI name of a target port, RFC 7143 section 4.4.3.2. */
  portName(port: number): string {
    return `${this.#targetName},t,0x${port.toString(16).padStart(4, "0")}`;
  }

  /** @returns whether hosts have anything to learn from it */
  apply(changes: readonly AccessChange[], alteredBy: number): boolean {
    for (const { group, state } of changes) {
      requireState(state);
      if (!this.#groups.some(({ id }) => id === group)) throw new RangeError(`no target port group ${group}`);
    }
    const before = this.#groups;
    this.#groups = before.map((group) => {
      const change = changes.findLast((one) => one.group === group.id);
      if (change === undefined) return group;
      const { state, preferred = group.preferred } = change;
      if (state === group.state && preferred === group.preferred) return group;
      return { ...group, state, preferred, alteredBy: state === group.state ? group.alteredBy : alteredBy };
    });
    return this.#groups.some((group, index) => group !== before[index]);
  }
}

function isWord(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff;
}

function requireState(state: number): void {
  if (!STATES.has(state)) throw new RangeError(`no access state ${state}`);
}
