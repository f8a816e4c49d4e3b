/** What the words in capitals of the commands stand for. */

export const PARAMETERS: Readonly<Record<string, string>> = {
  ARRAY: "the name of an array",
  COLUMNS: "a number of columns",
  COMMAND: "a command of operational mode, with all that belongs to it",
  DRIVE: "the path of a drive, as the configuration has it",
  FILE: "a whole path, such as /usb/site.yaml",
  INITIATOR: "the iSCSI name of an initiator",
  MINUTES: "a number of minutes",
  N: "the number of a revision",
  NAME: "the name of a user",
  PATH: "a key of the configuration, such as volumes.db01.size",
  ROWS: "a number of rows, or 0",
  SECONDS: "a number of seconds",
  TEXT: "words to be kept with it",
  VALUE: "what the key is to be, as YAML",
  VERSION: "a version of the firmware, such as 1.2.3",
  VOLUME: "the name of a volume",
};
