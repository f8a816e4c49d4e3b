import { describe, expect, it } from "vitest";
import { nexusName, ReservationType } from "../iscsi/index.ts";
import { LogicalUnit, type UnitHost } from "../iscsi/scsi/unit.ts";
import { RamDevice } from "../iscsi/testing/world.ts";
import { reservationStatus } from "./host-reservations.ts";
import { renderReservations } from "./render.ts";

const A = "iqn.2026-11.example:a,i,0x00023d000001";
const B = "iqn.2026-11.example:b,i,0x00023d000001";
const IDENTITY = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };

function unit(reservation?: { readonly type: number; readonly holder: string | undefined }): LogicalUnit {
  const registrations = [
    { nexus: nexusName(A, 1), key: 0xabcn },
    { nexus: nexusName(B, 1), key: 2n },
  ];
  const kept = { registrations, reservation };
  const reservations = { kept, save: () => Promise.resolve() };
  return new LogicalUnit({ lun: 3, device: new RamDevice(8), identity: IDENTITY, reservations }, HOST);
}

const HOST = {} as UnitHost;
const anybody = () => true;
const isA = (initiatorName: string) => initiatorName === "iqn.2026-11.example:a";

describe("what an operator is told of reservations", () => {
  it("names the type, the ports with their keys, and who holds it", () => {
    const status = reservationStatus(
      "db",
      unit({ type: ReservationType.WriteExclusiveRegistrantsOnly, holder: nexusName(B, 1) }),
      isA,
    );
    expect(status).toEqual({
      volume: "db",
      lun: 3,
      reservation: "write exclusive registrants only",
      persists: true,
      initiators: [
        { port: A, key: "0000000000000abc", holds: false, given: true },
        { port: B, key: "0000000000000002", holds: true, given: false },
      ],
    });
    expect(renderReservations([status])).toBe(
      [
        "db (LUN 3): write exclusive registrants only, kept over a restart",
        `  0000000000000abc  ${A}`,
        `  0000000000000002  ${B}, holds it, IS NOT GIVEN THE VOLUME`,
        "",
      ].join("\n"),
    );
  });

  it("where all registrants hold it, where nobody does, and where nothing is there", () => {
    const all = reservationStatus(
      "db",
      unit({ type: ReservationType.ExclusiveAccessAllRegistrants, holder: undefined }),
      anybody,
    );
    expect(all.initiators.map(({ holds }) => holds)).toEqual([true, true]);
    const none = reservationStatus("db", unit(), anybody);
    expect(none.reservation).toBeUndefined();
    expect(renderReservations([none])).toMatch(/^db \(LUN 3\): not reserved, registrations kept over a restart\n {2}0/);
    const bare = new LogicalUnit({ lun: 0, device: new RamDevice(8), identity: IDENTITY }, HOST);
    expect(renderReservations([reservationStatus("log", bare, anybody)])).toBe("log (LUN 0): not reserved\n");
    expect(renderReservations(undefined)).toBe("This site has no iSCSI target.\n");
  });

  it("of a RESERVE", () => {
    const reserved = new LogicalUnit({ lun: 0, device: new RamDevice(8), identity: IDENTITY }, HOST);
    reserved.reservations.reserve(nexusName(A, 1));
    expect(renderReservations([reservationStatus("log", reserved, anybody)])).toBe(
      `log (LUN 0): reserved by RESERVE\n                    ${A}, holds it\n`,
    );
  });
});
