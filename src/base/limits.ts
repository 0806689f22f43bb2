/**
 * Every bound of the data plane, with its default and unit. The configuration overrides them; what happens at each is
 * said here, and each that can be hit has a counter in metrics.ts.
 */
export interface Limits extends NodeLimits {
  /** Clients of the whole process; one more is answered `-ERR max number of clients reached` and closed. */
  clientsMax: number;
  /** Largest bulk string a client may send, bytes (Redis: proto-max-bulk-len). `Protocol error: invalid bulk length`. */
  bulkBytesMax: number;
  /** Longest inline command or header line, bytes (Redis: 64 KiB). */
  inlineBytesMax: number;
  /** Commands and bytes of one session that may wait for replies; beyond, its reading pauses. */
  sessionCommandsMax: number;
  sessionRequestBytesMax: number;
  /** Replies that wait for a client to read: beyond `soft` its reading pauses, beyond `hard` it is closed. */
  sessionOutputSoftBytes: number;
  sessionOutputHardBytes: number;
  /**
   * Milliseconds a client may leave a command half sent, counted anew with each MiB of it that comes (so a command of n MiB has
   * n + 1 times as long at the most); 0 is for ever.
   */
  requestDeadlineMs: number;
  /** Milliseconds a client may neither send nor take a byte before it is closed; 0 is for ever (Redis: timeout). */
  idleTimeoutMs: number;
  /** Milliseconds a client may take to give its password, where one is asked for; 0 is for ever. */
  authDeadlineMs: number;
  /** A reply announced larger than this takes its connection out of common use (DESIGN §5.3 b), bytes. */
  largeValueBytes: number;
  /**
   * Bytes of all buffers of one worker; beyond, its largest session is closed. At most the worker's part of six tenths of
   * the memory that the process may use.
   */
  workerMemoryMax: number;
}

/** Those that hold for one node. A pool may have its own. */
export interface NodeLimits {
  /** Bytes and commands that may wait for one node on one connection; beyond, commands for it get -OVERLOADED. */
  nodeQueueBytesMax: number;
  nodeQueueCommandsMax: number;
  /** Milliseconds to connect to a node and greet it. */
  connectTimeoutMs: number;
  /** Milliseconds a command may wait to be sent to a node that is being connected to. */
  queueTimeoutMs: number;
  /**
   * Milliseconds that a node may neither send nor, of what waits to be sent to it, take a byte while a reply is awaited; then the
   * commands that wait so long fail.
   */
  requestTimeoutMs: number;
  /** As requestTimeoutMs, and then the connection is closed. */
  stallTimeoutMs: number;
  /** Milliseconds of silence after which a node's connection is tried with PING. */
  idlePingMs: number;
  /** First and largest wait between attempts to reconnect to a node, milliseconds; doubled each time, and cut by up to a half at random. */
  reconnectMinMs: number;
  reconnectMaxMs: number;
}

export const DEFAULT_NODE_LIMITS: NodeLimits = {
  nodeQueueBytesMax: 256 * 1024 * 1024,
  nodeQueueCommandsMax: 1_000_000,
  connectTimeoutMs: 2_000,
  queueTimeoutMs: 2_000,
  requestTimeoutMs: 5_000,
  stallTimeoutMs: 10_000,
  idlePingMs: 5_000,
  reconnectMinMs: 50,
  reconnectMaxMs: 2_000,
};

export const DEFAULT_LIMITS: Limits = {
  clientsMax: 10_000,
  bulkBytesMax: 512 * 1024 * 1024,
  inlineBytesMax: 64 * 1024,
  sessionCommandsMax: 1_024,
  sessionRequestBytesMax: 256 * 1024,
  sessionOutputSoftBytes: 1024 * 1024,
  sessionOutputHardBytes: 1024 * 1024 * 1024,
  requestDeadlineMs: 60_000,
  idleTimeoutMs: 0,
  authDeadlineMs: 60_000,
  ...DEFAULT_NODE_LIMITS,
  largeValueBytes: 1024 * 1024,
  workerMemoryMax: 1536 * 1024 * 1024,
};

export const NODE_LIMITS = Object.keys(DEFAULT_NODE_LIMITS) as readonly (keyof NodeLimits)[];

/** Those of `limits` that hold for one node. */
export function nodeLimitsOf(limits: NodeLimits): NodeLimits {
  const own = { ...DEFAULT_NODE_LIMITS };
  for (const name of NODE_LIMITS) own[name] = limits[name];
  return own;
}
