/** What was read from a unit and written to it, counted since it was added: what log pages report. Never reset itself. */

export class Transfers {
  /** Commands that sent blocks to their initiator, and those that took data for blocks from it, without an error. */
  reads = 0;
  writes = 0;
  /** Blocks sent to initiators, and taken from them. */
  blocksSent = 0;
  blocksTaken = 0;

  read(blocks: number): void {
    this.reads++;
    this.blocksSent += blocks;
  }

  wrote(blocks: number): void {
    this.writes++;
    this.blocksTaken += blocks;
  }
}
