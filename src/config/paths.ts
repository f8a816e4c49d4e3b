/** Paths as text; nothing here looks at a file system. */

/**
 * The path with `.`, `..` and doubled slashes taken out.
 *
 * @param folder where a relative path starts: empty, or ends in '/'
 */
export function resolvePath(folder: string, path: string): string {
  const whole = path.startsWith("/") ? path : folder + path;
  const parts: string[] = [];
  for (const part of whole.split("/")) {
    if (part === "" || part === ".") continue;
    const above = parts[parts.length - 1];
    if (part === ".." && above !== undefined && above !== "..") parts.pop();
    else if (part !== ".." || !whole.startsWith("/")) parts.push(part);
  }
  return (whole.startsWith("/") ? "/" : "") + (parts.join("/") || (whole.startsWith("/") ? "" : "."));
}
