/** Where SAN hosts come in: the iSCSI target of a primary, with a LUN for each volume. */

import { AssertionError } from "../base/assert.ts";
import { isOperatingError } from "../base/operating-error.ts";
import type { VolumeId } from "../base/units.ts";
import type { PrimaryConfig } from "../config/config.ts";
import {
  AccessState,
  type Chap,
  type LoginFailure,
  mediumError,
  type PortGroupsSpec,
  type ReservationStore,
  type Sense,
  Senses,
  type SessionSnapshot,
  type Target,
  type TargetAccess,
  type TargetEvent,
  TargetServer,
} from "../iscsi/index.ts";
import type { ControllerState, MirrorController } from "../mirror/mirror-controller.ts";
import { MirroredVolume } from "../mirror/mirrored-volume.ts";
import { formatAddress, type Listener } from "../platform/network.ts";
import type { World } from "../platform/world.ts";
import type { SiteEvent } from "./events.ts";
import { grantOf, isGiven } from "./host-grants.ts";
import { type ReservationStatus, reservationStatus } from "./host-reservations.ts";
import { chapOf } from "./host-users.ts";
import { lunNames } from "./lun-identity.ts";
import { TARGET_PORT } from "./reservation-files.ts";
import type { SessionStatus, SiteStatus } from "./status.ts";

const VENDOR = "ANTIPODE";
const PRODUCT = "Mirrored LUN";
const REVISION = "0001";
/**
 * An appliance is a target port group of its own; one that serves its hosts is active and optimized. An appliance that
 * answers hosts before it serves them belongs into another group, in standby or unavailable, and `changeAccessStates` of the target
 * moves them.
 */
const PORT_GROUPS: PortGroupsSpec = { groups: [{ id: 1, ports: [TARGET_PORT], state: AccessState.ActiveOptimized }] };
const UNAVAILABLE = [{ group: 1, state: AccessState.Unavailable }];

export class HostPort {
  #config: PrimaryConfig;
  readonly #server: TargetServer;
  readonly #target: Target;
  readonly #onEvent: (event: SiteEvent) => void;
  readonly #listeners: Listener[] = [];

  /** @param reservations where the reservations of each volume are kept; they end with the site where they are not */
  constructor(
    world: World,
    config: PrimaryConfig,
    controller: MirrorController,
    reservations: ReadonlyMap<VolumeId, ReservationStore>,
    onEvent: (event: SiteEvent) => void,
  ) {
    this.#config = config;
    this.#onEvent = onEvent;
    this.#server = new TargetServer({
      network: world.network,
      timers: world.clock,
      memory: world.memory,
      random: world.random,
      crc32c: (bytes, seed, start, end) => world.arithmetic.crc32c(bytes, seed, start, end),
      hashes: world.hashes,
      discoveryChap: discoveryChapOf(config),
      portalGroupTag: TARGET_PORT,
      errorRecoveryLevel: config.target.errorRecoveryLevel,
      onEvent: (event) => {
        if (event.type === "device-failed" && event.error instanceof AssertionError) crash(world, event.error);
        const text = describe(event);
        if (text !== undefined) onEvent({ kind: "session", text });
      },
    });
    this.#target = this.#server.addTarget({
      name: config.target.iqn,
      luns: Object.values(config.volumes).map(({ id, lun, size, blockSize }) => ({
        lun,
        device: new MirroredVolume(controller, id, size, blockSize, config.journal.cache),
        identity: { vendor: VENDOR, product: PRODUCT, revision: REVISION, ...lunNames(world.hashes, config.group, id) },
        reservations: reservations.get(id),
      })),
      ...accessOf(config),
      portGroups: PORT_GROUPS,
      senseFor,
    });
  }

  /** Opens every portal. Rejects with `network.busy` or `network.denied`; then none is open. */
  async listen(): Promise<void> {
    try {
      for (const address of this.#config.target.listen) this.#listeners.push(await this.#server.listen(address));
    } catch (error) {
      for (const listener of this.#listeners.splice(0)) listener.close();
      throw error;
    }
  }

  /**
   * What the controller has come to. Where another primary serves, or this one can't go on, logins are answered with Service
   * Unavailable, so that hosts try again or elsewhere. In the first case who is logged in is logged out: what is in flight then
   * is theirs to send again. In the second they are told what became of it, and that the LUNs can't be had here from now on,
   * TEST UNIT READY too: a path on which that alone still worked would be tried again and again.
   */
  follow({ kind }: ControllerState): void {
    this.#target.available = kind !== "fenced";
    if (kind !== "failed") return;
    this.#target.admits = false;
    this.#target.changeAccessStates(UNAVAILABLE);
  }

  /** Takes over who may use the target, and what of it: see `Site.changeHosts`. */
  changeHosts(config: PrimaryConfig): void {
    const left = this.#leftBehind();
    this.#config = config;
    for (const text of this.#leftBehind().difference(left)) this.#onEvent({ kind: "session", text });
    this.#server.discoveryChap = discoveryChapOf(config);
    // Not waited for: a write that was taken away may wait for a leg that is lost.
    void this.#target.changeAccess(accessOf(config));
  }

  /** Closes the portals and ends the sessions. */
  async close(): Promise<void> {
    this.#listeners.length = 0;
    await this.#server.close();
  }

  get portals(): readonly string[] {
    return this.#listeners.map(({ address }) => formatAddress(address));
  }

  /** Sessions that still use memory, whether they have a connection or not. */
  get heldSessions(): number {
    return this.#server.heldSessions;
  }

  /**
   * What initiators have at volumes that they are not given. It stays: who was fenced off by it must not be let in because of
   * how volumes are given, and the initiator may be given its volume again.
   */
  #leftBehind(): Set<string> {
    return new Set(
      this.reservations.flatMap(({ volume, initiators }) =>
        initiators
          .filter(({ given }) => !given)
          .map(
            ({ port, holds }) =>
              `${port} ${holds ? "holds the reservation of" : "is registered at"} ${volume}, which it is not given`,
          ),
      ),
    );
  }

  /** Of each volume. */
  get reservations(): readonly ReservationStatus[] {
    return Object.values(this.#config.volumes).flatMap(({ name, lun }) => {
      const unit = this.#target.device.unit(lun);
      if (unit === undefined) return [];
      return [reservationStatus(name, unit, (initiator) => isGiven(this.#config, initiator, name))];
    });
  }

  /**
   * Ends what hosts have reserved of a volume, or one of them. Rejects with `file.failed` where that could not be stored; then it
   * is all still there.
   */
  clearReservations(lun: number, initiatorName?: string): Promise<void> {
    return this.#target.clearReservations(lun, initiatorName);
  }

  #volumeOf(lun: number): string {
    return Object.values(this.#config.volumes).find((volume) => volume.lun === lun)?.name ?? "";
  }

  get status(): NonNullable<SiteStatus["target"]> {
    return {
      iqn: this.#config.target.iqn,
      portals: this.portals,
      sessions: this.#server.sessions().map(sessionStatus),
      volumes: this.#target.statistics().units.map((unit) => ({ volume: this.#volumeOf(unit.lun), ...unit })),
    };
  }
}

function accessOf(config: PrimaryConfig): TargetAccess {
  const { chap } = config.target;
  return { grant: grantOf(config), chap: chap && chapOf(chap) };
}

function discoveryChapOf({ target: { chap } }: PrimaryConfig): Chap | undefined {
  return chap && chapOf(chap, chap.discovery);
}

/** A site that no longer understands its own state stops before it answers a host from it. */
function crash(world: World, error: AssertionError): void {
  world.clock.afterTurn(() => {
    throw error;
  });
}

/**
 * What a host is told: that the LUN is not ready while it is not served here, be it that this site can't go on, and a
 * medium error for lost blocks.
 */
export function senseFor(error: unknown, writing: boolean): Sense | "BUSY" {
  if (isOperatingError(error, "mirror.starting")) return "BUSY";
  if (isOperatingError(error) && error.code.startsWith("mirror.")) return Senses.NotReady;
  return mediumError(error, writing);
}

function sessionStatus(session: SessionSnapshot): SessionStatus {
  const { initiatorName, targetName, user, remote, local, tasks, commands, bytesRead, bytesWritten } = session;
  const kind = targetName === "" ? "discovery" : "normal";
  return { initiator: initiatorName, kind, user, remote, portal: local, tasks, commands, bytesRead, bytesWritten };
}

function describeLogin({ initiatorName, remote, user }: SessionSnapshot): string {
  return `${initiatorName} logged in from ${remote}${user === undefined ? "" : ` as the user ${JSON.stringify(user)}`}`;
}

function describeFailure({ initiatorName, remote, status, why }: LoginFailure): string {
  const said = `login of ${initiatorName || "an initiator"} from ${remote} failed with status ${status.toString(16)}`;
  return why === undefined ? said : `${said}: ${why}`;
}

function describe(event: TargetEvent): string | undefined {
  switch (event.type) {
    case "session-opened":
      return event.session.targetName === "" ? undefined : describeLogin(event.session);
    case "session-closed":
      return event.session.targetName === "" ? undefined : `${event.session.initiatorName} is gone: ${event.why}`;
    case "login-failed":
      return describeFailure(event);
    case "login-redirected":
      return `${event.initiatorName} from ${event.remote} was sent to ${event.to}`;
    case "connection-dropped":
      return `connection from ${event.remote} dropped: ${event.why}`;
    case "connection-refused":
      return `connection from ${event.remote} refused: ${event.why}`;
    case "device-failed":
      return `LUN ${event.lun}: ${event.error instanceof Error ? event.error.message : String(event.error)}`;
  }
}
