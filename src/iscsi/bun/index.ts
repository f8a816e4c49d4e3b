/** For programs that export a buffer or a file: what a target needs of Bun, and two devices. */

export { type AtomicLogCode, AtomicLogError } from "./atomic-log.ts";
export { BufferDevice } from "./buffer-device.ts";
export { FileDevice, type FileOptions } from "./file-device.ts";
export { type BunHost, type BunHostOptions, bunHost } from "./host.ts";
