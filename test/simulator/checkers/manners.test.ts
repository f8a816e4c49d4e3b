import { expect, it } from "vitest";
import { FakeSite } from "./fake-site.ts";
import { Fleet } from "./fleet.ts";
import { Manners } from "./manners.ts";

it("the invariant manners is broken by a link that ends for what the other site must never send", () => {
  const denver = new FakeSite("denver");
  const boulder = new FakeSite("boulder");
  const fleet = new Fleet(() => [denver, boulder]);
  const manners = new Manners(fleet);
  const look = () => {
    fleet.refresh();
    return manners.look();
  };
  denver.streamTo(boulder);
  expect(look()).toBeUndefined();
  denver.refusedBy(boulder, "link.corrupt");
  expect(look()).toBeUndefined();
  denver.refusedBy(boulder, "link.credit");
  expect(look()).toMatch(/the link of denver to boulder ended with link.credit: The link is over/);
});
