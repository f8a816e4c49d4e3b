/** Every bound of the target. What is negotiated starts from here; what is queued ends here. */

const KiB = 1024;
const MiB = 1024 * KiB;

/** Largest data segment that an initiator may send in full feature phase; before that it is 8 KiB (RFC 7143 13.12). */
export const RECV_SEGMENT_BYTES_MAX = 256 * KiB;
export const LOGIN_SEGMENT_BYTES_MAX = 8 * KiB;
export const BURST_BYTES_MAX = 1 * MiB;
/** Unsolicited data of one command; a whole window of it must fit WRITE_BUDGET_BYTES. */
export const FIRST_BURST_BYTES_MAX = 64 * KiB;
export const OUTSTANDING_R2T_MAX = 8;

/** Commands in flight in a session, as granted by MaxCmdSN. */
export const COMMAND_WINDOW = 128;
/** Tasks in a session, commands marked for immediate delivery included; beyond it, TASK SET FULL. */
export const TASKS_MAX = COMMAND_WINDOW + 16;
/** Task management functions of a session that are under way: more than an abortion of each task. */
export const FUNCTIONS_MAX = 2 * COMMAND_WINDOW;
/** Commands that were aborted before they arrived and whose CmdSN is still ahead. */
export const PLUGGED_COMMANDS_MAX = 16;
/** Connections of a session. */
export const SESSION_CONNECTIONS_MAX = 8;
/** Commands of a session, with their data, that wait for one before them: a whole window of unsolicited data. */
export const EARLY_BYTES_MAX = COMMAND_WINDOW * (FIRST_BURST_BYTES_MAX + 1 * KiB);
/** How long they wait before the session ends. */
export const MISSING_COMMAND_MILLIS = 30_000;

export const ERROR_RECOVERY_LEVEL_MAX = 2;
/** Lost connections of a session whose tasks wait; beyond it those of the oldest end. */
export const LOST_CONNECTIONS_MAX = 8;
/** How long tasks of a lost connection may wait for another, at level 2. */
export const RETAIN_SECONDS_MAX = 60;
/** Answers that were not acknowledged, kept by a connection for error recovery; more than a window of them. */
export const RETAINED_STATUSES_MAX = 512;
export const RETAINED_STATUS_BYTES_MAX = 1 * MiB;
/** Reads whose data is being sent again at once on a connection. */
export const DATA_RESENT_MAX = 4;

/** Write data that a session may hold. R2Ts stop at what leaves room for unsolicited data. */
export const WRITE_BUDGET_BYTES = 24 * MiB;
export const UNSOLICITED_RESERVE_BYTES = COMMAND_WINDOW * FIRST_BURST_BYTES_MAX;
/** A transfer reaches the device in pieces of at most this. */
export const PIECE_BYTES_MAX = 1 * MiB;
/** Replies wait to be sent up to here before more data is read from the device. */
export const READ_AHEAD_BYTES = 2 * MiB;
/** Data being read for a connection at once by a device that completes later. */
export const READ_BUDGET_BYTES = 8 * MiB;
/** Replies that a connection may owe before it is no longer read. */
export const OUTPUT_PAUSE_BYTES = 4 * MiB;
/** Bytes handed to a transport in one turn before other connections have theirs. */
export const FLUSH_TURN_BYTES = 8 * MiB;
export const OUTPUT_CHUNK_BYTES = 256 * KiB;
/** Free chunks of all connections that a server keeps for reuse. */
export const OUTPUT_CHUNKS_RETAINED_MAX = 64;
/** A segment of this size or more is sent from its own buffer; a smaller one is copied behind its header. */
export const ZERO_COPY_BYTES_MIN = 64 * KiB;
/** A Data-Out of this size or more that arrives in parts goes straight into its task's buffer. */
export const STREAM_BYTES_MIN = 8 * KiB;
/** Data of all sessions of a server: beyond it, each goes on with one buffer at a time. */
export const SHARED_BUDGET_BYTES = 128 * MiB;
/** As many times of it, and data that came without being asked for gets TASK SET FULL. */
export const SHARED_BUDGET_FACTOR_MAX = 2;
/** Free buffers that a server keeps for reuse. */
export const RETAINED_BYTES_MAX = 64 * MiB;
/** After one to two of these without a word from any initiator a server gives back what it keeps for reuse. */
export const IDLE_MILLIS = 2_000;
/** What was received since the last time and what is kept, together, below which it is not worth the work. */
export const IDLE_WORTH_BYTES = 16 * MiB;

export const SESSIONS_MAX = 256;
export const CONNECTIONS_MAX = 512;
/** Text of one negotiation, over all of its PDUs. */
export const TEXT_BYTES_MAX = 64 * KiB;
export const LOGIN_EXCHANGES_MAX = 32;

export const LOGIN_MILLIS = 15_000;
/** A session not heard from for one to two of these is probed with a NOP-In, and closed after as long again. */
export const PROBE_MILLIS = 10_000;
/** How long an initiator may take to acknowledge what others wait for, once it was asked to. */
export const ACKNOWLEDGE_MILLIS = 2 * PROBE_MILLIS;
/** How long a logged-out or refused connection may take to read its last reply. */
export const LINGER_MILLIS = 5_000;

/** SCSI: what VPD page B0h reports. */
export const TRANSFER_BYTES_MAX = 8 * MiB;
export const TRANSFER_BYTES_OPTIMAL = 1 * MiB;
export const WRITE_SAME_BYTES_MAX = 8 * MiB;
export const UNMAP_BLOCKS_MAX = 0x100000;
export const UNMAP_DESCRIPTORS_MAX = 256;
/** What one GET LBA STATUS asks of its device. */
export const LBA_STATUS_RUNS_MAX = 256;
/** Buffers of commands that go over many blocks of a unit by themselves; beyond it, they wait for each other. */
export const WORK_BYTES_MAX = 8 * PIECE_BYTES_MAX;
/** Work of one command on a device that completes at once, before other work has its turn. */
export const WORK_TURN_BYTES = 2 * MiB;
/** Registrations of a unit: as many as sessions. */
export const REGISTRATIONS_MAX = SESSIONS_MAX;
/** Parameter data of PERSISTENT RESERVE OUT: a TransportID of the longest name for each registration. */
export const RESERVE_LIST_BYTES_MAX = REGISTRATIONS_MAX * 256;
/** Copies that a target carries out at once, each with a buffer of PIECE_BYTES_MAX; beyond it, BUSY. */
export const COPIES_MAX = 16;
/** Of one host, which may have as many as are free: the rest is for others. */
export const COPIES_OF_HOST_MAX = COPIES_MAX / 2;
/** Copies with a list identifier that a target knows, those that are over included: one of these is forgotten. */
export const COPIES_KNOWN_MAX = 512;
/** EXTENDED COPY: what RECEIVE COPY OPERATING PARAMETERS and VPD page 8Fh report. */
export const COPY_CSCDS_MAX = 16;
export const COPY_SEGMENTS_MAX = 64;
export const COPY_LIST_BYTES_MAX = 32 * (COPY_CSCDS_MAX + COPY_SEGMENTS_MAX);
export const COPY_SEGMENT_BYTES_MAX = 256 * MiB;
/** ROD tokens of a target that are alive, and those that are over of which it still knows why. */
export const TOKENS_MAX = 128;
export const TOKENS_REMEMBERED_MAX = 256;
/** Ranges of blocks that one token is made of, or that one is written to. */
export const TOKEN_RANGES_MAX = 64;
/** What a token may stand for: as long a copy as a segment of EXTENDED COPY. */
export const TOKEN_BYTES_MAX = COPY_SEGMENT_BYTES_MAX;
/** How long an unused token lives where its maker did not say, and at most. */
export const TOKEN_SECONDS = 30;
export const TOKEN_SECONDS_MAX = 3600;
export const PHYSICAL_BLOCK_BYTES = 4 * KiB;
