/** What differs between two texts, line by line, as people read it: `-` was there, `+` is new, each with some of its surroundings. */

/** Lines around a change that are shown with it. */
const SURROUNDINGS = 2;

/** Above this many pairs of lines no common ones are looked for: configurations are far from it, and memory is bounded. */
const PAIRS_MAX = 4_000_000;

interface Line {
  readonly mark: " " | "-" | "+";
  readonly text: string;
}

/** Empty where the two are the same; lines end with a newline. What is left out between two places is a line of dots. */
export function difference(before: string, after: string): string {
  const lines = aligned(linesOf(before), linesOf(after));
  const shown = lines.map((_, at) =>
    lines.slice(Math.max(0, at - SURROUNDINGS), at + SURROUNDINGS + 1).some(({ mark }) => mark !== " "),
  );
  let text = "";
  for (const [at, line] of lines.entries()) {
    if (!shown[at]) continue;
    if (at > 0 && !shown[at - 1] && text !== "") text += "  ...\n";
    text += `${line.mark} ${line.text}`.trimEnd();
    text += "\n";
  }
  return text;
}

function linesOf(text: string): readonly string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** All lines of both, with as many in common as there can be. */
function aligned(before: readonly string[], after: readonly string[]): readonly Line[] {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const same = (text: string): Line => ({ mark: " ", text });
  return [
    ...before.slice(0, head).map(same),
    ...alignedMiddle(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...before.slice(before.length - tail).map(same),
  ];
}

function alignedMiddle(before: readonly string[], after: readonly string[]): readonly Line[] {
  const removed = (text: string): Line => ({ mark: "-", text });
  const added = (text: string): Line => ({ mark: "+", text });
  if (before.length * after.length > PAIRS_MAX) return [...before.map(removed), ...after.map(added)];
  // common[i * width + j]: lines that before from i on and after from j on have in common at the most
  const width = after.length + 1;
  const common = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      const at = i * width + j;
      common[at] = before[i] === after[j] ? common[at + width + 1] + 1 : Math.max(common[at + width], common[at + 1]);
    }
  }
  const lines: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      lines.push({ mark: " ", text: before[i] });
      i++;
      j++;
    } else if (i < before.length && (j === after.length || common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      lines.push(removed(before[i++]));
    } else {
      lines.push(added(after[j++]));
    }
  }
  return lines;
}
