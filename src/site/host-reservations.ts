/** What hosts have registered and reserved at a LUN, as an operator is told of it. */

import {
  holdsReservation,
  initiatorNameOf,
  initiatorPortOf,
  type LogicalUnit,
  ReservationType,
} from "../iscsi/index.ts";

export interface ReservationStatus {
  readonly volume: string;
  readonly lun: number;
  /** As SPC-4 calls it, in small letters; `reserve` where a host reserved with RESERVE. Absent where nobody has. */
  readonly reservation?: string;
  /** Whether it all outlives this site, as the hosts asked for. */
  readonly persists: boolean;
  /** In the order in which they registered; with RESERVE there is only the one that holds it. */
  readonly initiators: readonly {
    /** The initiator's name and ISID. */
    readonly port: string;
    /** Hexadecimal. Absent with RESERVE. */
    readonly key?: string;
    readonly holds: boolean;
    /** False where the configuration does not give the initiator the volume any more: what it has there stays all the same. */
    readonly given: boolean;
  }[];
}

const TYPES: ReadonlyMap<number, string> = new Map(
  Object.entries(ReservationType).map(([name, type]) => [type, name.replace(/(?!^)[A-Z]/g, " $&").toLowerCase()]),
);

/** @param isGiven whether an initiator may use the volume now */
export function reservationStatus(
  volume: string,
  { lun, reservations }: LogicalUnit,
  isGiven: (initiatorName: string) => boolean,
): ReservationStatus {
  const { reserver, state } = reservations;
  if (reserver !== undefined) {
    const initiators = [{ port: initiatorPortOf(reserver), holds: true, given: isGiven(initiatorNameOf(reserver)) }];
    return { volume, lun, reservation: "reserve", persists: false, initiators };
  }
  const { registrations, reservation, persists } = state;
  return {
    volume,
    lun,
    reservation: reservation && TYPES.get(reservation.type),
    persists: persists && registrations.length > 0,
    initiators: registrations.map(({ nexus, key }) => ({
      port: initiatorPortOf(nexus),
      key: key.toString(16).padStart(16, "0"),
      holds: reservation !== undefined && holdsReservation(reservation, nexus),
      given: isGiven(initiatorNameOf(nexus)),
    })),
  };
}

/** @param initiator whose part of it: all of it unless given */
export function reservationsOf(status: ReservationStatus, initiator: string | undefined): ReservationStatus {
  if (initiator === undefined) return status;
  return { ...status, initiators: status.initiators.filter(({ port }) => initiatorNameOf(port) === initiator) };
}
