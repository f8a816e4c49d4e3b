/** Ending the reservations of hosts: shown first, and asked once more, since they may be all that keeps two hosts apart. */

import { OperatingError } from "../base/operating-error.ts";
import { type ReservationStatus, reservationsOf } from "../site/host-reservations.ts";
import { renderReservations } from "../site/render.ts";
import type { Desk } from "./command.ts";

export function clearReservation(desk: Desk, [volume, word]: readonly string[], signal: AbortSignal): Promise<void> {
  return clear(desk, ["clear", "reservation", volume], volume, undefined, word, signal);
}

export function clearRegistration(
  desk: Desk,
  [volume, initiator, word]: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  return clear(desk, ["clear", "registration", volume, initiator], volume, initiator, word, signal);
}

async function clear(
  { appliance, conversation }: Desk,
  words: readonly string[],
  volume: string,
  initiator: string | undefined,
  word: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (word !== undefined && word !== "yes") {
    throw new OperatingError("command.parameters", `'${word}' is no answer.`, "Give yes, or nothing to be asked.");
  }
  const ask = (...words: readonly string[]) => appliance.ask(words, () => {}, signal);
  if (word === undefined) {
    const { value } = await ask("show", "reservations");
    const those = ((value ?? []) as readonly ReservationStatus[])
      .filter((one) => one.volume === volume)
      .map((one) => reservationsOf(one, initiator));
    if (those.some(({ initiators }) => initiators.length > 0)) {
      conversation.say(renderReservations(those));
      conversation.say("All of this ends, and whom it keeps from the LUN can write to it.\n");
      const answer = await conversation.readAnswer("Go on? (yes, no) [no]: ");
      if (answer?.trim() !== "yes") {
        conversation.say("Nothing is ended.\n");
        return;
      }
    }
  }
  const { text } = await ask(...words, "yes");
  await conversation.print(text);
}
