/** A network link that the machine has: a card, or what is made of cards. */
export interface Link {
  readonly name: string;
  readonly kind: "interface" | "bond" | "vlan";
  /** The card's own hardware address, also while a bond has given it another; in lower case. */
  readonly mac: string;
}
