/**
 * An update that is sent to the appliance: taken whole into one file, then installed as from any other place.
 *
 * - One at a time. What is no update, by its size alone, is not taken; nor what there is no room for.
 * - The file is in memory, or on something else that is not the firmware's own: that is written once the update is whole and
 *   checked, see `installUpdate`. It is gone when the update is installed or refused.
 * - Once it is whole, it is installed, whether or not who sent it is still there.
 */

import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { millis } from "../base/units.ts";
import type { Firmware } from "../firmware/firmware.ts";
import type { Progress } from "../firmware/progress.ts";
import { HEAD_BYTES, PAYLOAD_BYTES_MAX } from "../firmware/update-file.ts";
import { type Clock, elapsed } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import { describe } from "./answer.ts";
import { Lines } from "./lines.ts";

export const UPDATE_BYTES_MAX = HEAD_BYTES + PAYLOAD_BYTES_MAX;
/** A peer that sends by drops must not keep all others out for ever. */
const RECEIVE_MAX = millis(30 * 60_000);
const FILE = "antipode-upload.update";

export type UploadView =
  | { readonly state: "none" }
  /** `what` is "receiving", or what the installation is at. */
  | ({ readonly state: "under way" } & Progress)
  | { readonly state: "installed" }
  | { readonly state: "refused"; readonly code: string; readonly what: string; readonly remedy: string };

export class Upload {
  readonly #path: string;
  #view: UploadView = { state: "none" };
  #installation: Promise<void> = Promise.resolve();

  /** @param folder where the update is kept until it is installed */
  constructor(
    private readonly files: Files,
    private readonly firmware: Pick<Firmware, "install">,
    private readonly clock: Clock,
    private readonly folder: string,
    /** Is told what became of an update, in a sentence for the log. */
    private readonly onEvent: (text: string) => void,
  ) {
    this.#path = `${folder}/${FILE}`;
  }

  get view(): UploadView {
    return this.#view;
  }

  /** Removes what a process before this one left. */
  async tidy(): Promise<void> {
    await this.files.remove(this.#path);
  }

  /** Resolves when nothing is being installed. */
  installed(): Promise<void> {
    return this.#installation;
  }

  /**
   * @param bytes what there will be of `body`
   * @returns how the installation goes on, from when the update has been found right. Rejects with every reason not to
   * install it that is found before.
   */
  async take(body: AsyncIterable<Uint8Array>, bytes: number): Promise<Lines> {
    if (this.#view.state === "under way") {
      throw new OperatingError(
        "management.busy",
        "An update is being taken already.",
        "Wait until that is done; GET /firmware tells how far it is.",
      );
    }
    this.#view = { state: "under way", what: "receiving", done: 0, total: bytes };
    try {
      await this.#receive(body, bytes);
    } catch (error) {
      throw await this.#refuse(error);
    }
    return new Promise((resolve, reject) => {
      // Nothing handles what rejects this: it would be a bug, and ends the process.
      this.#installation = this.#install(resolve, reject);
    });
  }

  async #receive(body: AsyncIterable<Uint8Array>, total: number): Promise<void> {
    const room = await this.files.room(this.folder);
    if (total > room) {
      throw new OperatingError(
        "management.no-room",
        `${this.folder} has room for ${room} bytes, and the update has ${total}.`,
        "Give the appliance more memory, or install the update from a drive on its console.",
      );
    }
    const began = this.clock.now();
    const file = await this.files.create(this.#path);
    try {
      let done = 0;
      for await (const part of body) {
        if (elapsed(this.clock, began) > RECEIVE_MAX) {
          throw new OperatingError("management.slow", "The update came too slowly.", "Send it from nearer by.");
        }
        await file.write(part);
        done += part.length;
        this.#view = { state: "under way", what: "receiving", done, total };
      }
      await file.finish();
    } catch (error) {
      await file.discard();
      throw error;
    }
  }

  /** @param onRight is called once the update has been found right; @param onRefused where it is not, and later in vain */
  async #install(onRight: (lines: Lines) => void, onRefused: (error: OperatingError) => void): Promise<void> {
    const lines = new Lines();
    let shown = "";
    try {
      const firmware = await this.firmware.install(this.#path, (progress) => {
        this.#view = { state: "under way", ...progress };
        const { what, done, total } = progress;
        // The checks are behind it when something else begins.
        if (what !== "checking") onRight(lines);
        const step = `${what} ${Math.floor((done / total) * 100)}`;
        if (step !== shown) lines.add({ kind: "progress", ...progress });
        shown = step;
      });
      await this.files.remove(this.#path);
      this.#view = { state: "installed" };
      this.onEvent(`an update is installed: the next start will be of ${firmware.next}`);
      lines.add({ kind: "result", firmware });
      onRight(lines);
    } catch (error) {
      const refusal = await this.#refuse(error);
      lines.add({ kind: "error", ...describe(refusal) });
      onRefused(refusal);
    }
    lines.end();
  }

  /** Throws what is no `OperatingError`. */
  async #refuse(error: unknown): Promise<OperatingError> {
    if (!isOperatingError(error)) throw error;
    await this.files.remove(this.#path);
    this.#view = { state: "refused", ...describe(error) };
    this.onEvent(`an update was not installed: ${error.what} (${error.code})`);
    return error;
  }
}
