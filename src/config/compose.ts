/** The text of a configuration that is made of values, laid out as a person would write it. */

import { Document, isCollection, visit } from "yaml";

/** Sections stand in the order in which they are given; what is in a section's entry stands on one line. */
export function composeConfig(sections: Readonly<Record<string, unknown>>): string {
  const document = new Document(sections);
  visit(document, {
    Collection: (_, node, ancestors) => {
      const depth = ancestors.filter(isCollection).length;
      const isSmall = node.items.length > 0 && depth >= 2;
      if (isSmall) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}
