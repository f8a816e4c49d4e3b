/**
 * Who may log in: names, and of each password a salted hash. Kept in one file that only its owner may read. Nothing
 * here ever shows or tells a password or its hash.
 */

import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { isName, NAME_RULE } from "../config/names.ts";
import type { Files } from "../platform/files.ts";
import type { PasswordCost, Passwords } from "../platform/passwords.ts";
import type { Random } from "../platform/random.ts";

/** A hash takes about a tenth of a second and 32 MiB. A password keeps the cost that it was set with. */
const COST: PasswordCost = { n: 2 ** 15, r: 8, p: 1 };
/** Of a file that somebody else wrote: what would fill memory is none of ours. */
const COST_N_MAX = 2 ** 20;
const SALT_BYTES = 16;
const PASSWORD_MIN = 8;
/** Hashing a longer one would let anybody at the line keep a processor busy. */
const PASSWORD_MAX = 256;
const USERS_MAX = 100;

/** The one that sets the first password of an appliance. */
export const FIRST_USER = "admin";

interface UserRecord {
  readonly name: string;
  /** Hexadecimal. */
  readonly salt: string;
  readonly hash: string;
  readonly cost: PasswordCost;
}

export class Users {
  constructor(
    private readonly path: string,
    private readonly files: Files,
    private readonly passwords: Passwords,
    private readonly random: Random,
  ) {}

  /** Rejects with `users.damaged` where that can't be told. */
  async names(): Promise<readonly string[]> {
    return (await this.#read()).map(({ name }) => name);
  }

  /** Whether it is that user's password; takes as long where there is no such user. Rejects with `users.damaged`. */
  async verify(name: string, password: string): Promise<boolean> {
    const users = await this.#read();
    const user = users.find((each) => each.name === name);
    const salt = user === undefined ? new Uint8Array(SALT_BYTES) : Uint8Array.fromHex(user.salt);
    const hash = await this.passwords.hash(password.slice(0, PASSWORD_MAX), salt, user?.cost ?? COST);
    return user !== undefined && areEqual(hash, Uint8Array.fromHex(user.hash)) && password.length <= PASSWORD_MAX;
  }

  /** Sets a user's password; the user is there from then on. Rejects with `users.name` or `users.password`. */
  async set(name: string, password: string): Promise<void> {
    if (!isName(name)) throw new OperatingError("users.name", `'${name}' can't be a user.`, `Give ${NAME_RULE}.`);
    if (password.length < PASSWORD_MIN || password.length > PASSWORD_MAX) {
      throw new OperatingError(
        "users.password",
        "That can't be a password.",
        `Choose one of ${PASSWORD_MIN} to ${PASSWORD_MAX} characters.`,
      );
    }
    const users = await this.#read();
    const others = users.filter((each) => each.name !== name);
    if (others.length >= USERS_MAX) {
      throw new OperatingError("users.name", `There are ${USERS_MAX} users already.`, "Delete one first.");
    }
    const salt = new Uint8Array(SALT_BYTES);
    this.random.fill(salt);
    const hash = await this.passwords.hash(password, salt, COST);
    await this.#write([...others, { name, salt: salt.toHex(), hash: hash.toHex(), cost: COST }]);
  }

  /** Rejects with `users.name` where there is no such user, or no other one. */
  async delete(name: string): Promise<void> {
    const users = await this.#read();
    const others = users.filter((each) => each.name !== name);
    if (others.length === users.length) {
      const known = users.map((each) => each.name).join(", ");
      throw new OperatingError("users.name", `There is no user '${name}'.`, `Users are: ${known || "none"}.`);
    }
    if (others.length === 0) {
      throw new OperatingError("users.name", `${name} is the only user.`, "Make another one first: user set NAME.");
    }
    await this.#write(others);
  }

  async #write(users: readonly UserRecord[]): Promise<void> {
    await this.files.makeFolder(this.path.slice(0, this.path.lastIndexOf("/")) || "/");
    await this.files.replace(this.path, new TextEncoder().encode(`${JSON.stringify({ users })}\n`));
  }

  async #read(): Promise<readonly UserRecord[]> {
    const content = await this.files.read(this.path);
    if (content === undefined) return [];
    const users = parse(new TextDecoder().decode(content));
    if (users !== undefined && users.length > 0) return users;
    throw new OperatingError(
      "users.damaged",
      `${this.path} is not as it was written, so nobody can log in.`,
      "Put a copy of it back. Without one, remove it from another system: then the first login sets a password anew.",
    );
  }
}

/** @returns undefined where the text is no list of users */
function parse(text: string): readonly UserRecord[] | undefined {
  try {
    const { users }: { users: readonly UserRecord[] } = JSON.parse(text);
    const isHex = (value: unknown, bytes: number) =>
      typeof value === "string" && value.length === 2 * bytes && /^[0-9a-f]+$/.test(value);
    const isSound = users.every(
      ({ name, salt, hash, cost: { n, r, p } }) =>
        typeof name === "string" &&
        isHex(salt, SALT_BYTES) &&
        isHex(hash, 32) &&
        Number.isInteger(Math.log2(n)) &&
        n > 1 &&
        n <= COST_N_MAX &&
        r === 8 &&
        p === 1,
    );
    return isSound ? users : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Takes as long wherever they differ. */
function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) difference |= one[at] ^ (other[at] ?? 0);
  return difference === 0;
}

/** Whether an error is about what was chosen, so that another choice may be right. */
export function isRefusedChoice(error: unknown): error is OperatingError {
  return isOperatingError(error, "users.password") || isOperatingError(error, "users.name");
}
