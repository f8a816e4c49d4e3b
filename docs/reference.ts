/** `npm run docs`: makes those tables of docs/console.md anew that come from the console's own grammar. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withReference } from "../src/console/reference.ts";

const page = join(import.meta.dirname, "console.md");
writeFileSync(page, withReference(readFileSync(page, "utf8")));
