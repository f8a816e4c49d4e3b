/**
 * The logical units of a target as one initiator port is given them through one target port: which of them, under which LUNs, and its nexuses.
 *
 * Invariants: a unit is under one LUN at the most; a LUN keeps its nexus as long as the view lasts, whatever is under it;
 * what the view shows changes only in `refresh`, which tells the initiator.
 */

import type { ScsiDevice } from "./device.ts";
import type { PortGroups } from "./port-groups.ts";
import { Senses } from "./sense.ts";
import { nexusName } from "./transport-id.ts";
import { type LogicalUnit, LUN_MAX, type LunList, Nexus } from "./unit.ts";

/** By the LUN that the initiator uses, that of the target's unit. */
export type LunMap = ReadonlyMap<number, number>;

/** Nexuses of LUNs without a unit are kept only up to here. */
const NEXUSES_MAX = 1024;

export class LunView implements LunList {
  readonly device: ScsiDevice;
  readonly initiatorPort: string;
  readonly targetPort: number;
  readonly name: string;
  readonly hasQueries: boolean;
  #map: LunMap | undefined;
  #units: ReadonlyMap<number, LogicalUnit>;
  readonly #nexuses = new Map<number, Nexus>();

  /**
   * @param hasQueries see `LunList`
   * @param map all units under their own LUNs unless given. Throws a `RangeError` for one that can be no map
   */
  constructor(device: ScsiDevice, initiatorPort: string, targetPort: number, hasQueries: boolean, map?: LunMap) {
    this.device = device;
    this.initiatorPort = initiatorPort;
    this.targetPort = targetPort;
    this.name = nexusName(initiatorPort, targetPort);
    this.hasQueries = hasQueries;
    this.#map = map;
    this.#units = shown(device, map);
  }

  /** Whether the initiator is given all that the target has. */
  get isWhole(): boolean {
    return this.#map === undefined;
  }

  get portGroups(): PortGroups {
    return this.device.host.portGroups;
  }

  unit(lun: number): LogicalUnit | undefined {
    return this.#units.get(lun);
  }

  luns(): readonly number[] {
    return [...this.#units.keys()].sort((a, b) => a - b);
  }

  units(): readonly LogicalUnit[] {
    return [...this.#units.values()];
  }

  /** The nexus of a LUN, whether there is a unit or not. */
  nexus(lun: number): Nexus {
    const found = this.#nexuses.get(lun);
    if (found !== undefined) return found;
    const nexus = new Nexus(lun, this.unit(lun), this);
    if (nexus.unit !== undefined || this.#nexuses.size < NEXUSES_MAX) this.#nexuses.set(lun, nexus);
    return nexus;
  }

  /** The nexus of a unit, if it was used already: one that was not still has its power-on to report, which says more. */
  nexusOf(unit: LogicalUnit): Nexus | undefined {
    for (const nexus of this.#nexuses.values()) if (nexus.unit === unit) return nexus;
    return undefined;
  }

  /** SAM-5 section 5.14: whoever was told on one LUN that LUNs have changed, or has asked which there are, need not be told again. */
  lunsReported(): void {
    for (const nexus of this.#nexuses.values()) nexus.withdraw(Senses.LunsChanged);
  }

  /**
   * Shows what the map and the device have now. Where that is something else, the initiator is told to look again.
   *
   * @returns the units that it sees no more
   */
  refresh(map: LunMap | undefined): readonly LogicalUnit[] {
    const before = this.#units;
    const now = shown(this.device, map);
    this.#map = map;
    const luns = new Set([...before.keys(), ...now.keys()]);
    const changed = [...luns].filter((lun) => before.get(lun) !== now.get(lun));
    if (changed.length === 0) return [];
    this.#units = now;
    for (const lun of changed) this.#nexuses.get(lun)?.replace(now.get(lun));
    for (const nexus of this.#nexuses.values()) nexus.attention(Senses.LunsChanged);
    const seen = new Set(now.values());
    return [...before.values()].filter((unit) => !seen.has(unit));
  }
}

function shown(device: ScsiDevice, map: LunMap | undefined): ReadonlyMap<number, LogicalUnit> {
  if (map === undefined) return new Map(device.units().map((unit) => [unit.lun, unit]));
  assertMap(map);
  const units = new Map<number, LogicalUnit>();
  for (const [lun, own] of map) {
    const unit = device.unit(own);
    if (unit !== undefined) units.set(lun, unit);
  }
  return units;
}

function assertMap(map: LunMap): void {
  for (const lun of map.keys()) {
    if (!Number.isInteger(lun) || lun < 0 || lun > LUN_MAX) throw new RangeError(`LUN ${lun} for an initiator`);
  }
  if (new Set(map.values()).size < map.size) throw new RangeError("a unit under two LUNs of one initiator");
}
