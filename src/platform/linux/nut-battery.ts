/**
 * Batteries that a NUT server (`upsd`) knows, by its protocol of lines: RFC 9271. One connection for each reading, so that
 * there is nothing to keep alive, and a server that was restarted is found again.
 */

import { isOperatingError } from "../../base/operating-error.ts";
import type { BatteryReading, BatterySource } from "../battery.ts";
import type { Clock } from "../clock.ts";
import type { Connection, Network } from "../network.ts";
import { batteryUnreadable, NOT_IN_TIME } from "./battery-unreadable.ts";

type NutSource = Extract<BatterySource, { readonly kind: "nut" }>;

const STATUS = "ups.status";
const CHARGE = "battery.charge";
/** Characters that the answer to both questions may have; NUT's own are far below. */
const ANSWER_MAX = 4096;

/** The words of `ups.status` that are not as they should be, by what they come to. */
const FAILED = ["RB", "OFF", "BYPASS", "OVER", "ALARM", "COMMBAD", "NOCOMM"];
const LOW = ["LB", "FSD"];
const DISCHARGING = ["OB", "DISCHRG", "CAL"];
const SUPPLIED = "OL";

/** What the server's refusals mean. */
const REFUSALS: Readonly<Record<string, string>> = {
  "DATA-STALE": "what its server has is out of date, since the driver hears nothing of it",
  "DRIVER-NOT-CONNECTED": "its driver does not run",
  "UNKNOWN-UPS": "its server does not know it",
  "ACCESS-DENIED": "its server does not let this site ask",
};

export function readNut(
  clock: Pick<Clock, "now">,
  network: Pick<Network, "connect">,
  source: NutSource,
  signal: AbortSignal,
): Promise<BatteryReading> {
  const takenAt = clock.now();
  const { ups, host, port } = source;
  return new Promise((resolve, reject) => {
    let opened: Connection | undefined;
    const refuse = (why: string, cause?: unknown) => {
      reject(batteryUnreadable(source, why, cause));
      opened?.abort();
    };
    signal.addEventListener("abort", () => refuse(NOT_IN_TIME), { once: true });
    let text = "";
    const received = (bytes: Uint8Array) => {
      text += Buffer.from(bytes).toString("latin1");
      if (text.length > ANSWER_MAX) return refuse("its server answers at too great a length");
      const [status, charge, ...rest] = text.split("\n");
      if (rest.length === 0) return;
      try {
        resolve({ ...readingOf(source, status, charge), takenAt });
        opened?.close();
      } catch (error) {
        reject(error);
        opened?.abort();
      }
    };
    network
      .connect(
        { host, port },
        (connection) => {
          opened = connection;
          return { onData: received, onDrain: () => {}, onClose: () => refuse("its server closed the connection") };
        },
        signal,
      )
      .then(
        (connection) => {
          const questions = Buffer.from(`GET VAR ${ups} ${STATUS}\nGET VAR ${ups} ${CHARGE}\n`);
          // A new connection takes so few bytes at once; one that does not is of no use.
          if (connection.write(questions) < questions.length) refuse("its server takes no question");
        },
        (error: unknown) => {
          if (isOperatingError(error)) refuse(error.what.replace(/\.$/, ""), error);
          else reject(error);
        },
      );
  });
}

function readingOf(source: NutSource, statusLine: string, chargeLine: string): Omit<BatteryReading, "takenAt"> {
  const words = textOf(source, STATUS, statusLine)?.split(" ") ?? [];
  const is = (wanted: readonly string[]) => words.some((word) => wanted.includes(word));
  const charge = chargeOf(source, chargeLine);
  if (is(FAILED)) return { state: "failed", charge };
  if (is(LOW)) return { state: "low", charge };
  if (is(DISCHARGING)) return { state: "discharging", charge };
  if (words.includes(SUPPLIED)) return { state: "good", charge };
  throw batteryUnreadable(source, `its status is '${words.join(" ")}'`);
}

function chargeOf(source: NutSource, line: string): number | undefined {
  const text = textOf(source, CHARGE, line);
  return text !== undefined && /^\d{1,3}(\.\d+)?$/.test(text) ? Math.min(100, Number(text)) : undefined;
}

/** @returns undefined where the UPS has no such variable */
function textOf(source: NutSource, variable: string, line: string): string | undefined {
  const prefix = `VAR ${source.ups} ${variable} "`;
  if (line.startsWith(prefix) && line.endsWith('"')) return line.slice(prefix.length, -1);
  const refusal = /^ERR ([A-Z-]+)/.exec(line)?.[1];
  if (refusal === "VAR-NOT-SUPPORTED") return undefined;
  if (refusal === undefined) throw batteryUnreadable(source, "its server answers what is no NUT protocol");
  throw batteryUnreadable(source, REFUSALS[refusal] ?? `its server answers ${refusal}`);
}
