/**
 * An Ethernet of a test's own: a switch in the test's process, whose ports are Unix sockets that QEMU plugs a machine's
 * card into. It leads nowhere else. It may be cut off whole, as by a broken switch, and be whole again.
 *
 * QEMU's `-netdev stream` sends each frame behind its length, four bytes, most significant first.
 */

import { createServer, type Server, type Socket } from "node:net";

const LENGTH_BYTES = 4;
const ADDRESS_BYTES = 6;
/** A port whose machine does not take its frames loses them beyond this, as with any switch. */
const QUEUE_BYTES_MAX = 8 * 2 ** 20;

export class Ethernet {
  readonly #server: Server;
  readonly #path: string;
  readonly #ports = new Set<Socket>();
  /** Of each hardware address: the port that it was seen at last. */
  readonly #seen = new Map<string, Socket>();
  #cut = false;

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
    server.on("connection", (socket) => this.#plug(socket));
  }

  /** @param path of the Unix socket that is made */
  static make(path: string): Promise<Ethernet> {
    const server = createServer();
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => resolve(new Ethernet(server, path)));
    });
  }

  /** QEMU's arguments for a card that is plugged into it. @param mac by which the card is known, also here */
  card(mac: string): readonly string[] {
    const id = `ethernet-${mac.replaceAll(":", "")}`;
    return [
      ...["-netdev", `stream,id=${id},server=off,addr.type=unix,addr.path=${this.#path}`],
      ...["-device", `virtio-net-pci,netdev=${id},mac=${mac},romfile=`],
    ];
  }

  /** From now on no frame arrives. */
  cut(): void {
    this.#cut = true;
  }

  mend(): void {
    this.#cut = false;
  }

  close(): Promise<void> {
    for (const port of this.#ports) port.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #plug(port: Socket): void {
    this.#ports.add(port);
    let received: Buffer = Buffer.alloc(0);
    port.on("data", (data: Buffer) => {
      received = received.length === 0 ? data : Buffer.concat([received, data]);
      let at = 0;
      while (received.length >= at + LENGTH_BYTES) {
        const end = at + LENGTH_BYTES + received.readUInt32BE(at);
        if (received.length < end) break;
        this.#pass(port, received.subarray(at, end));
        at = end;
      }
      received = received.subarray(at);
    });
    // A machine that ends unplugs its card.
    port.on("error", () => port.destroy());
    port.once("close", () => {
      this.#ports.delete(port);
      for (const [address, at] of this.#seen) if (at === port) this.#seen.delete(address);
    });
  }

  /** @param framed a frame behind its length */
  #pass(from: Socket, framed: Buffer): void {
    if (this.#cut) return;
    const address = (at: number) => framed.toString("latin1", at, at + ADDRESS_BYTES);
    this.#seen.set(address(LENGTH_BYTES + ADDRESS_BYTES), from);
    const to = this.#seen.get(address(LENGTH_BYTES));
    for (const port of to === undefined ? this.#ports : [to]) {
      if (port !== from && port.writableLength < QUEUE_BYTES_MAX) port.write(framed);
    }
  }
}
