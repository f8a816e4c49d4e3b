/** Files packed into one. */

/** @returns a tar archive, compressed by gzip: what `tar xzf` takes. Everything stands in `folder`. */
export async function packFiles(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const entries = Array.from(files, ([name, content]) => [`${folder}/${name}`, new Uint8Array(content)] as const);
  return new Bun.Archive(Object.fromEntries(entries), { compress: "gzip" }).bytes();
}
