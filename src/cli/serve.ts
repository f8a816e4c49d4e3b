/** `antipode serve`: runs one site until it is told to stop. */

import pino from "pino";
import { isOperatingError } from "../base/operating-error.ts";
import { makeFolder } from "../platform/linux/host-files.ts";
import { linuxFiles } from "../platform/linux/linux-files.ts";
import { linuxWorld } from "../platform/linux/linux-world.ts";
import { listenForControl } from "../site/control-socket.ts";
import type { SiteEvent } from "../site/events.ts";
import { Site } from "../site/site.ts";
import { proveFirmware } from "./appliance-firmware.ts";
import { readConfig } from "./config-file.ts";
import { fail } from "./failure.ts";

export interface ServeOptions {
  readonly overwrite: boolean;
  readonly acceptDirtyDegraded: boolean;
}

export async function serve(file: string, options: ServeOptions): Promise<void> {
  const config = readConfig(file);
  // Not a transport: those run in a worker, which a compiled binary does not have.
  const log = pino({ base: { site: config.site.name }, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
  const site = await Site.open(linuxWorld(), config, {
    overwrite: options.overwrite,
    acceptDirtyDegraded: options.acceptDirtyDegraded,
    files: linuxFiles(),
    readConfig,
    onEvent: (event) => logEvent(log, event),
  });
  try {
    await run(site, log);
  } catch (error) {
    // What it can explain has not hung it: whoever started it decides what comes next, not the watchdog.
    if (isOperatingError(error)) site.guard?.disarm();
    throw error;
  }
}

async function run(site: Site, log: pino.Logger): Promise<void> {
  const { config } = site;
  makeFolder(config.control.socket.slice(0, config.control.socket.lastIndexOf("/")));
  const control = await listenForControl(site);

  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, "stopping");
    control.close();
    await site.close();
    log.info("stopped");
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop(signal).catch(fail));

  log.info({ role: config.role, group: config.group, control: config.control.socket }, "up");
  proveFirmware(site, log).catch(fail);
  try {
    await site.serve();
  } catch (error) {
    if (!stopping) throw error;
  }
}

function logEvent(log: pino.Logger, event: SiteEvent): void {
  switch (event.kind) {
    case "alarm":
      log.error({ code: event.error.code, remedy: event.error.remedy }, event.error.what);
      return;
    case "controller":
      if (event.state.kind === "starting") log.info(`starting: ${event.state.phase}`);
      else if (event.state.kind === "fenced") log.error(`fenced by epoch ${event.state.by}`);
      else log.info(`controller: ${event.state.kind}`);
      return;
    case "link":
      if (event.state.kind === "waiting" || event.state.kind === "refused") {
        const { code, what, remedy } = event.state.error;
        log.warn({ code, remedy }, `link to ${event.site}: ${event.state.kind}: ${what}`);
      } else log.info(`link to ${event.site}: ${event.state.kind}`);
      return;
    case "array":
      log.warn({ event: event.event }, `array ${event.array}: ${event.event.kind}`);
      return;
    case "serving":
      log.info({ epoch: event.epoch, portals: event.portals }, "serving hosts");
      return;
    case "cut":
      log.warn(
        { first: event.first, last: event.last },
        "unacknowledged requests were cut: the primary goes on without them",
      );
      return;
    case "watchdog": {
      const { device, identity, state, timeout } = event.guard;
      log.info({ device, identity, timeoutMs: timeout }, `watchdog ${state === "starting" ? "armed" : state}`);
      return;
    }
    case "battery": {
      const { alarm, battery } = event;
      if (alarm !== undefined) log.error({ code: alarm.code, remedy: alarm.remedy }, alarm.what);
      else log.info(`battery ${battery.source}: ${battery.standing.kind}`);
      return;
    }
    case "session":
      log.info(event.text);
  }
}
