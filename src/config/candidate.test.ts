import { describe, expect, it } from "vitest";
import { Candidate, isSecret } from "./candidate.ts";

const TEXT = `# the site in Denver
site: { name: denver }
volumes:
  # the big one
  db01: { array: main, size: 100GiB, lun: 0 } # never shrink
journal:
  device: /dev/pmem0 # NVDIMM
  cache: 128MiB
link:
  from: [ boulder ]
`;

const edited = (edit: (candidate: Candidate) => void) => {
  const candidate = new Candidate(3, TEXT);
  edit(candidate);
  return candidate;
};

describe("a candidate", () => {
  it("is what it was begun from until it is edited", () => {
    const odd = "site:   {name: denver}\n";
    const candidate = new Candidate(1, odd);
    expect([candidate.text, candidate.changed, candidate.compare()]).toEqual([odd, false, ""]);
  });

  it("keeps comments, order and style around what is set", () => {
    const candidate = edited((each) => {
      each.set(["journal", "device"], "/dev/pmem1");
      each.set(["volumes", "db01", "size"], "200GiB");
      each.set(["volumes", "logs"], "{ array: main, size: 1GiB, lun: 1 }");
      each.set(["link", "from", 1], "pueblo");
      each.set(["link", "listen"], '"[::]:7400"');
    });
    expect(candidate.text).toBe(`# the site in Denver
site: { name: denver }
volumes:
  # the big one
  db01: { array: main, size: 200GiB, lun: 0 } # never shrink
  logs: { array: main, size: 1GiB, lun: 1 }
journal:
  device: /dev/pmem1 # NVDIMM
  cache: 128MiB
link:
  from: [ boulder, pueblo ]
  listen: "[::]:7400"
`);
    expect(candidate.changed).toBe(true);
    expect(candidate.compare()).toContain("-   device: /dev/pmem0 # NVDIMM\n+   device: /dev/pmem1 # NVDIMM\n");
  });

  it("makes the sections above what is set, also in an empty one", () => {
    const candidate = new Candidate(0, "");
    candidate.set(["site", "name"], "denver");
    candidate.set(["mirror", "legs", 0, 0], "boulder");
    expect(candidate.text).toBe("site:\n  name: denver\nmirror:\n  legs:\n    - - boulder\n");
    const nothing = new Candidate(0, "journal:\n");
    nothing.set(["journal", "device"], "/dev/a");
    expect(nothing.text).toBe("journal:\n  device: /dev/a\n");
  });

  it("gives each section of a JSON text a line of its own when it is edited", () => {
    const candidate = new Candidate(1, '{"site": {"name": "denver"},\n "group": "prod"}\n');
    candidate.set(["group"], "other");
    expect(candidate.text).toBe('"site": { "name": "denver" }\n"group": other\n');
    expect(candidate.compare()).toBe('  "site": { "name": "denver" }\n- "group": "prod"\n+ "group": other\n');
  });

  it("deletes what is there, and says where nothing is", () => {
    expect(edited((each) => each.delete(["volumes"])).text).not.toContain("db01");
    expect(() => edited((each) => each.delete(["volumes", "db02"]))).toThrow("Nothing is set at 'volumes.db02'");
    expect(() => edited((each) => each.show(["target"]))).toThrow("Nothing is set at 'target'");
  });

  it.each([
    ["", "No value is given"],
    ["[::]:7400", "is no value"],
    ["[1, 2", "is no value"],
    ["*other", "refers to something else"],
    ["a: b: c", "is no value"],
  ])("refuses %j as a value, and stays as it was", (value, words) => {
    const candidate = new Candidate(3, TEXT);
    expect(() => candidate.set(["journal", "device"], value)).toThrow(words);
    expect(candidate.text).toBe(TEXT);
  });

  it("refuses what can't stand there", () => {
    expect(() => edited((each) => each.set(["site", "name", "first"], "a"))).toThrow(
      "'site.name' holds the value denver",
    );
    expect(() => edited((each) => each.set(["link", "from", 5], "a"))).toThrow("the next place is link.from[1]");
    expect(() => edited((each) => each.set(["drives", 1], "a"))).toThrow("the next place is drives[0]");
    expect(() => edited((each) => each.set(["mirror", "legs", 1, 0], "a"))).toThrow("the next place is mirror.legs[0]");
  });

  it("shows a part, and names below a key", () => {
    const candidate = new Candidate(3, TEXT);
    expect(candidate.show(["journal"])).toBe("device: /dev/pmem0 # NVDIMM\ncache: 128MiB\n");
    expect(candidate.show(["journal", "cache"])).toBe("128MiB\n");
    expect(candidate.names(["volumes"])).toEqual(["db01"]);
    expect(candidate.names(["arrays"])).toEqual([]);
  });

  it("loads another text as it is, unless it is no YAML", () => {
    const candidate = new Candidate(3, TEXT);
    candidate.load("site:   {name: pueblo}\n", "x.yaml");
    expect(candidate.text).toBe("site:   {name: pueblo}\n");
    expect(() => candidate.load("site: [\n", "x.yaml")).toThrow("x.yaml:");
    expect(candidate.text).toContain("pueblo");
  });

  it("never shows a secret, but that it changed", () => {
    const chap = "target:\n  chap: { user: a, secret: correct horse }\n";
    const candidate = new Candidate(3, chap);
    expect(isSecret(["target", "chap", "secret"])).toBe(true);
    candidate.set(["target", "chap", "user"], "b");
    expect(candidate.show()).toContain("user: b, secret: (hidden) }");
    expect(candidate.show(["target", "chap"])).not.toContain("horse");
    candidate.setText(["target", "chap", "secret"], "battery: staple");
    expect(candidate.show() + candidate.compare()).not.toMatch(/horse|staple/);
    expect(candidate.compare()).toContain("secret: (hidden; another one)");
    expect(candidate.text).toContain("battery: staple");
  });

  it("knows the secrets in a list from each other", () => {
    const candidate = new Candidate(
      3,
      "target: { chap: { users: [{ user: a, secret: horse }, { user: b, secret: staple }] } }\n",
    );
    candidate.setText(["target", "chap", "users", 1, "secret"], "battery");
    candidate.set(["target", "chap", "users", 2, "user"], "c");
    candidate.setText(["target", "chap", "users", 2, "secret"], "correct");
    const compared = candidate.compare();
    expect(compared).not.toMatch(/horse|staple|battery|correct/);
    expect(compared.match(/another one/g)).toHaveLength(2);
    expect(candidate.show(["target", "chap", "users", 0])).toContain("secret: (hidden)");
    expect(candidate.text).toMatch(/secret: horse.*secret: battery.*user: c, secret: correct/s);
  });
});
