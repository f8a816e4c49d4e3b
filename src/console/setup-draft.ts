/**
 * A configuration that comes to be answer by answer. Each answer goes through the checks that a commit makes: what those
 * find at the keys that the answer is about is what is wrong with it. What they find elsewhere was not asked for yet.
 */

import { composeConfig } from "../config/compose.ts";
import { ConfigError, type Problem } from "../config/problem.ts";

/** Sections by name, each whole. */
export type Sections = Readonly<Record<string, unknown>>;

/** In this order a reader finds first what the rest rests on. */
const ORDER = [
  ...["site", "group", "role", "drives", "arrays", "volumes", "journal", "target", "sites"],
  ...["mirror", "relay", "link", "watchdog", "network"],
];

export class Draft {
  #sections: Sections = {};

  /** @param check throws `config.invalid` with all that is wrong with a text */
  constructor(private readonly check: (text: string) => unknown) {}

  get text(): string {
    return textOf(this.#sections);
  }

  /**
   * Puts sections in the place of those that there are. @returns what is wrong with them at these keys or below; where
   * that is anything, nothing was changed
   */
  put(sections: Sections, keys: readonly string[]): readonly Problem[] {
    const changed = { ...this.#sections, ...sections };
    const faults = this.#problems(textOf(changed)).filter(({ path }) => keys.some((key) => isAtOrBelow(path, key)));
    if (faults.length === 0) this.#sections = changed;
    return faults;
  }

  #problems(text: string): readonly Problem[] {
    try {
      this.check(text);
      return [];
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
      throw error;
    }
  }
}

function isAtOrBelow(path: string, key: string): boolean {
  return path === key || path.startsWith(`${key}.`) || path.startsWith(`${key}[`);
}

function textOf(sections: Sections): string {
  const given = ORDER.filter((section) => sections[section] !== undefined);
  return composeConfig(Object.fromEntries(given.map((section) => [section, sections[section]])));
}
