/** `antipode management`: what an appliance answers over HTTP, as its configuration says, until it is told to stop. */

import pino from "pino";
import { OperatingError } from "../base/operating-error.ts";
import { Guesses } from "../console/guesses.ts";
import { Users } from "../console/users.ts";
import { Management } from "../management/management.ts";
import { Upload } from "../management/upload.ts";
import type { HttpIdentity } from "../platform/http.ts";
import { readText } from "../platform/linux/host-files.ts";
import { linuxClock } from "../platform/linux/linux-clock.ts";
import { linuxFiles } from "../platform/linux/linux-files.ts";
import { linuxHttp } from "../platform/linux/linux-http.ts";
import { linuxPasswords } from "../platform/linux/linux-passwords.ts";
import { linuxRandom } from "../platform/linux/linux-random.ts";
import { formatAddress } from "../platform/network.ts";
import { readConfig } from "./config-file.ts";
import { USERS_FILE } from "./console.ts";
import { fail } from "./failure.ts";
import { type ApplianceOptions, openNamedFirmware } from "./firmware.ts";

export interface ManagementOptions extends ApplianceOptions {
  /** Where an update that is sent is kept until it is installed. */
  readonly uploads: string;
}

const LOOPBACK = /^(127\.|\[?::1\]?$|localhost$)/;

export async function runManagement(file: string, options: ManagementOptions): Promise<void> {
  const config = readConfig(file);
  const { management: section } = config;
  if (section === undefined) {
    process.stdout.write(`${file} has no 'management': nothing is answered over HTTP.\n`);
    return;
  }
  const log = pino({ base: { site: config.site.name }, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
  const { listen, tls } = section;
  const clock = linuxClock();
  const files = linuxFiles();
  const users = new Users(`${options.revisions}/${USERS_FILE}`, files, linuxPasswords(), linuxRandom());
  const firmware = openNamedFirmware(options);
  const tell = (text: string) => log.info(text);
  const upload = new Upload(files, firmware, clock, options.uploads, tell);
  const management = new Management(new Guesses(users, clock), firmware, upload, tell);

  const listener = await linuxHttp().serve(listen, management.answer, tls && identityOf(tls));
  await upload.tidy();
  log.info({ listen: formatAddress(listener.address), tls: tls !== undefined }, "management is up");
  if (tls === undefined && !LOOPBACK.test(listen.host)) {
    log.warn("passwords are sent unencrypted: give 'management.tls', or keep this address to a network of its own");
  }
  const stop = async () => {
    listener.close();
    // An update that is whole is installed, whatever comes next.
    await upload.installed();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop().catch(fail));
}

function identityOf({ key, certificate }: HttpIdentity): HttpIdentity {
  try {
    return { key: readText(key), certificate: readText(certificate) };
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    throw new OperatingError("management.tls", error.what, "Put the files there that 'management.tls' names.", {
      cause: error,
    });
  }
}
