/** What leaves rows of an array half written, and what makes them worse: blocks beside that went bad, a member that is lost. */

import { checksumBlock, dataBlock } from "../../../src/raid/member-layout.ts";
import { show, showRows, weakDrive } from "./drive-faults.ts";
import { anySite, type Fault } from "./fault.ts";
import { endAtRequest, SITE_FAULTS, VERDICTS } from "./site-faults.ts";

/** Writes and flushes of an array's drives until the site ends, at the most. */
const REQUESTS_MOST = 20;

const endsInRow: Fault = {
  name: "a site ends between two writes to its array",
  weight: 5,
  strike: (scene) => {
    const name = anySite(scene);
    if (!scene.system.sites.has(name) || !scene.budget.mayEnd(name)) return undefined;
    const after = 1 + scene.random.below(REQUESTS_MOST);
    const verdict = scene.random.pick(VERDICTS);
    endAtRequest(scene, name, after, verdict, { to: "the array" });
    return `${name}: ${verdict} its write or flush ${after} from now`;
  },
};

/** Blocks of rows can't be read that a power cut may have left half written; with them, where wanted, their checksums. */
function badBesideTorn(name: string, weight: number, withChecksums: boolean): Fault {
  return {
    name,
    weight,
    strike: (scene) => {
      const { random, budget, rows, system } = scene;
      const struck = weakDrive(scene);
      if (struck === undefined || !system.sites.has(struck.name) || !budget.mayEnd(struck.name)) return undefined;
      // A checksum block is of more rows than any that hosts use.
      const claim = budget.claimRows(struck.name, withChecksums ? rows : 4 + random.below(13), rows);
      if (claim === undefined) return undefined;
      if (withChecksums && claim.count < rows) {
        claim.settle([]);
        return undefined;
      }
      budget.strike(struck.drive);
      struck.drive.latentError(dataBlock(claim.first), claim.count);
      if (withChecksums) struck.drive.latentError(checksumBlock(0));
      const after = 1 + random.below(REQUESTS_MOST);
      endAtRequest(scene, struck.name, after, random.pick(["crash-before", "crash-after"]), { to: "the array" });
      return `${show(struck)} ${showRows(claim)}, and its power goes at its write or flush ${after} from now`;
    },
  };
}

/** Inside the budget. */
export const ROW_FAULTS: readonly Fault[] = [
  endsInRow,
  badBesideTorn("rows with a bad block are torn", 3, false),
  badBesideTorn("rows with a bad block are torn, and their checksums lost", 3, true),
  ...SITE_FAULTS.filter(({ name }) => name === "a site ends again while it recovers"),
];

/** Beyond it: a member is lost, and the power goes before the array has settled that. */
export const LOSS_FAULTS: readonly Fault[] = [
  {
    name: "a member is lost, and the power goes",
    weight: 3,
    strike: (scene) => {
      const { random, system } = scene;
      const struck = weakDrive(scene);
      const status = struck && system.sites.get(struck.name)?.storage.arrays.get("main")?.status;
      // A second one would leave nothing to look at.
      if (struck === undefined || status?.state !== "optimal" || status.recovering) return undefined;
      let left = 1 + random.below(REQUESTS_MOST);
      const after = 1 + random.below(REQUESTS_MOST);
      const verdict = random.pick(["crash-before", "crash-after"] as const);
      // Writes are under way to rows of which the lost member has a block that they leave alone.
      const counts = () => {
        if (left > 0 && --left === 0) system.universe.after(0, () => struck.drive.vanish());
        return left === 0;
      };
      const what = `${show(struck)} at write or flush ${left} of its array from now, and then ${verdict} number ${after}`;
      endAtRequest(scene, struck.name, after, verdict, { to: "the array", counts });
      return what;
    },
  },
  { ...endsInRow, weight: 0.5 },
];
