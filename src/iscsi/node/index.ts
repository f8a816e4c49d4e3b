/** For programs that export a buffer or a file: what a target needs of Node, or of Bun, and two devices. */

export { BufferDevice, FileDevice } from "./devices.ts";
export { type NodeHost, nodeHost } from "./host.ts";
