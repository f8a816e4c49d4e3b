/**
 * What is in the image: an SPDX 2.3 document that names every Debian package, every npm package and Antipode itself,
 * with version, licence, checksum and the texts that their licences want to be handed on.
 */

import { createHash } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import type { DebianPackage, DebianPackages } from "./debian.ts";
import { EPOCH_SECONDS, PRODUCT, VERSION } from "./identity.ts";

interface SpdxPackage {
  readonly SPDXID: string;
  readonly name: string;
  readonly versionInfo: string;
  readonly downloadLocation: string;
  readonly filesAnalyzed: false;
  readonly licenseConcluded: string;
  readonly licenseDeclared: string;
  readonly copyrightText: string;
  readonly comment: string;
  readonly sourceInfo?: string;
  readonly checksums?: readonly { readonly algorithm: "SHA256" | "SHA512"; readonly checksumValue: string }[];
  readonly externalRefs?: readonly {
    readonly referenceCategory: "PACKAGE-MANAGER";
    readonly referenceType: "purl";
    readonly referenceLocator: string;
  }[];
  readonly attributionTexts?: readonly string[];
}

export interface Sbom {
  readonly spdxVersion: "SPDX-2.3";
  readonly packages: readonly SpdxPackage[];
  readonly [field: string]: unknown;
}

const NONE_SAID = "NOASSERTION";
const ROOT_ID = `SPDXRef-${PRODUCT}`;

/** @param files what was built, each told by its checksum */
export function manifest(root: string, packages: DebianPackages, files: readonly string[]): Sbom {
  const all = Object.values(packages);
  const parts = [...all.map((each) => debian(each, all)), ...npmPackages(root)].sort((a, b) =>
    a.SPDXID < b.SPDXID ? -1 : 1,
  );
  const built = files.map((path) => ({ name: basename(path), sha256: sha256(readFileSync(path)) }));
  const comment = `The firmware of ${files.map((path) => basename(path)).join(" and ")}.`;
  const product: SpdxPackage = {
    ...unsaid(ROOT_ID, PRODUCT, VERSION, "Apache-2.0", comment),
    attributionTexts: [readFileSync(join(root, "LICENSE"), "utf8")],
  };
  return {
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name: `${PRODUCT}-${VERSION}`,
    documentNamespace: `urn:uuid:${namespaceOf(built.map(({ sha256 }) => sha256).join(" "))}`,
    creationInfo: {
      created: new Date(EPOCH_SECONDS * 1000).toISOString().replace(".000", ""),
      creators: [`Tool: ${PRODUCT}-image-${VERSION}`],
    },
    documentDescribes: [ROOT_ID],
    files: built.map(({ name, sha256 }, at) => ({
      SPDXID: `SPDXRef-File-${at}`,
      fileName: `./${name}`,
      checksums: [{ algorithm: "SHA256", checksumValue: sha256 }],
      licenseConcluded: NONE_SAID,
      copyrightText: NONE_SAID,
    })),
    packages: [product, ...parts],
    relationships: [
      { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: ROOT_ID },
      ...parts.map(({ SPDXID }) => ({
        spdxElementId: ROOT_ID,
        relationshipType: "CONTAINS",
        relatedSpdxElement: SPDXID,
      })),
    ],
  };
}

function unsaid(id: string, name: string, version: string, licence: string, comment: string): SpdxPackage {
  return {
    SPDXID: id,
    name,
    versionInfo: version,
    downloadLocation: NONE_SAID,
    filesAnalyzed: false,
    licenseConcluded: NONE_SAID,
    licenseDeclared: licence,
    copyrightText: NONE_SAID,
    comment,
  };
}

/** What an SPDX identifier may be made of. */
const idPart = (name: string) => name.replaceAll(/[^A-Za-z0-9.-]/g, "-");

function debian(each: DebianPackage, all: readonly DebianPackage[]): SpdxPackage {
  const { name, version, source, builtUsing, licence, sha256, use } = each;
  return {
    ...unsaid(`SPDXRef-deb-${idPart(name)}`, name, version, licence, use),
    sourceInfo: `built by Debian from its source package ${source}${builtUsing && `, using ${builtUsing}`}`,
    checksums: [{ algorithm: "SHA256", checksumValue: sha256 }],
    externalRefs: [purl(`pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=amd64`)],
    attributionTexts: [readFileSync(join(documents(each, all), "copyright"), "utf8")],
  };
}

/** Where a package's documents are: packages of one source may share them, and then link to the one that has them. */
function documents({ name, root }: DebianPackage, all: readonly DebianPackage[]): string {
  const folder = join(root, "usr/share/doc", name);
  if (!lstatSync(folder).isSymbolicLink()) return folder;
  const shared = readlinkSync(folder);
  const holder = all.find((other) => other.name === shared);
  if (holder === undefined) throw new Error(`the documents of ${name} are in ${shared}, which is not fetched`);
  return join(holder.root, "usr/share/doc", shared);
}

/** As package-lock.json records it. */
interface Locked {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly link?: boolean;
}

/** Those that the command is made from; the runtime's builds for other machines are left out, its own is `bun`. */
function npmPackages(root: string): readonly SpdxPackage[] {
  const lock: { packages: Record<string, Locked> } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  return Object.entries(lock.packages).flatMap(([path, { version, license, integrity, dev, optional, link }]) => {
    if (!path.startsWith("node_modules/") || dev || optional || link) return [];
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    if (version === undefined || license === undefined || integrity === undefined)
      throw new Error(`package-lock.json does not say version, licence and checksum of ${name}`);
    const sha512 = Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
    return [
      {
        ...unsaid(`SPDXRef-npm-${idPart(path)}`, name, version, license, "compiled into the antipode binary"),
        checksums: [{ algorithm: "SHA512" as const, checksumValue: sha512 }],
        externalRefs: [purl(`pkg:npm/${name.replace("@", "%40")}@${version}`)],
        attributionTexts: licenceTexts(join(root, path)),
      },
    ];
  });
}

function licenceTexts(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /^(licen[cs]e|copying|notice)/i.test(name));
  return names.sort().map((name) => readFileSync(join(folder, name), "utf8"));
}

function purl(locator: string) {
  return { referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: locator } as const;
}

function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** A UUID of RFC 9562's version 8, of what the document describes. */
function namespaceOf(text: string): string {
  const hex = sha256(new TextEncoder().encode(text));
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
