/**
 * Small files that outlive the process: configurations and their revisions, firmware, what happened last. Not for drives.
 *
 * What a call promises to be durable is so when its promise resolves, and until then a power cut leaves the old or the
 * new, never a mix. Paths are absolute. Whatever fails is a `file.failed` that names the path.
 */
export interface Files {
  /** The whole content; `undefined` where there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>;
  /**
   * Puts a content in the place of what is there, durably. Only the owner may read the file, unless it `isPublic`. Where it
   * has to be new, rejects with `file.exists` when there is one, also one that another process makes in this moment.
   */
  replace(
    path: string,
    content: Uint8Array,
    options?: { readonly isPublic?: boolean; readonly isNew?: boolean },
  ): Promise<void>;
  /** Names in a folder, sorted; none where there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
  /** Makes a folder and those above it where they are missing, durably. */
  makeFolder(path: string): Promise<void>;
  /** Durable. What is at `to` is replaced. */
  rename(from: string, to: string): Promise<void>;
  /** Durable. Removes nothing where there is no such file. */
  remove(path: string): Promise<void>;
  /** A file too large for memory, to be read part by part; `undefined` where there is none. */
  open(path: string): Promise<FileReader | undefined>;
  /** A new file, written from its start on; what was at the path is gone. */
  create(path: string): Promise<FileWriter>;
  /** Bytes that files in this folder may still take. */
  room(folder: string): Promise<number>;
}

export interface FileReader {
  readonly size: number;
  /** Reads `into.length` bytes at `offset`, all of which the file has. */
  read(offset: number, into: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export interface FileWriter {
  write(part: Uint8Array): Promise<void>;
  /** Resolves when all of it is durable; what is read of it then comes from the drive where the system can do so. */
  finish(): Promise<void>;
  /** Gives it up, and removes it. */
  discard(): Promise<void>;
}
