/**
 * Every bound of the data plane, with its default. The configuration overrides them; what each bounds, and what happens there, is
 * said in limits-section.ts, of which docs/CONFIGURATION.md is made. Each that can be hit has a counter in metrics.ts. Names end
 * in their unit: Ms is milliseconds; Bytes, and workerMemoryMax, are bytes.
 */
export interface Limits extends NodeLimits {
  clientsMax: number;
  bulkBytesMax: number;
  inlineBytesMax: number;
  sessionCommandsMax: number;
  sessionRequestBytesMax: number;
  sessionTransactionBytesMax: number;
  sessionTransactionSpreadMax: number;
  sessionOutputSoftBytes: number;
  sessionOutputHardBytes: number;
  sessionSubscriptionsMax: number;
  sessionLocksMax: number;
  subscriberOutputSoftBytes: number;
  subscriberOutputSoftMs: number;
  subscriberOutputHardBytes: number;
  requestDeadlineMs: number;
  idleTimeoutMs: number;
  authDeadlineMs: number;
  replicatedKeyQueueMax: number;
  replicatedBytesMax: number;
  replicatedKeysMax: number;
  hintsInFlightBytesMax: number;
  scriptsBytesMax: number;
  gatherBytesMax: number;
  gatherKeysMax: number;
  gatherWorkerBytesMax: number;
  lockQueueMax: number;
  lockListMax: number;
  passthroughUsersMax: number;
  largeValueBytes: number;
  workerMemoryMax: number;
  workerStallTimeoutMs: number;
}

/** Those that hold for one node. A pool may have its own. */
export interface NodeLimits {
  nodeQueueBytesMax: number;
  nodeQueueCommandsMax: number;
  connectTimeoutMs: number;
  queueTimeoutMs: number;
  requestTimeoutMs: number;
  stallTimeoutMs: number;
  idlePingMs: number;
  reconnectMinMs: number;
  reconnectMaxMs: number;
  largeConnectionsMax: number;
  privateConnectionsMax: number;
  privateConnectionsSpareMax: number;
  replicatedPatienceMs: number;
  replicatedScriptBytesMax: number;
  repairKeysPerSecond: number;
  repairBytesInFlightMax: number;
  compareKeysPerSecond: number;
  compareIntervalMs: number;
  compareBytesMax: number;
  hintBytesMax: number;
  hintAgeMaxMs: number;
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
  largeConnectionsMax: 16,
  privateConnectionsMax: 4_000,
  privateConnectionsSpareMax: 16,
  replicatedPatienceMs: 250,
  replicatedScriptBytesMax: 64 * 1024 * 1024,
  repairKeysPerSecond: 10_000,
  repairBytesInFlightMax: 16 * 1024 * 1024,
  compareKeysPerSecond: 40_000,
  compareIntervalMs: 600_000,
  compareBytesMax: 64 * 1024 * 1024,
  hintBytesMax: 256 * 1024 * 1024,
  hintAgeMaxMs: 3 * 3_600_000,
};

export const DEFAULT_LIMITS: Limits = {
  clientsMax: 10_000,
  bulkBytesMax: 512 * 1024 * 1024,
  inlineBytesMax: 64 * 1024,
  sessionCommandsMax: 1_024,
  sessionRequestBytesMax: 256 * 1024,
  sessionTransactionBytesMax: 64 * 1024 * 1024,
  sessionTransactionSpreadMax: 1_024,
  sessionOutputSoftBytes: 1024 * 1024,
  sessionOutputHardBytes: 1024 * 1024 * 1024,
  sessionSubscriptionsMax: 100_000,
  sessionLocksMax: 1_000,
  subscriberOutputSoftBytes: 8 * 1024 * 1024,
  subscriberOutputSoftMs: 60_000,
  subscriberOutputHardBytes: 32 * 1024 * 1024,
  requestDeadlineMs: 60_000,
  idleTimeoutMs: 0,
  authDeadlineMs: 60_000,
  replicatedKeyQueueMax: 10_000,
  replicatedBytesMax: 256 * 1024 * 1024,
  replicatedKeysMax: 100_000,
  hintsInFlightBytesMax: 16 * 1024 * 1024,
  scriptsBytesMax: 8 * 1024 * 1024,
  gatherBytesMax: 64 * 1024 * 1024,
  gatherKeysMax: 50_000,
  gatherWorkerBytesMax: 256 * 1024 * 1024,
  lockQueueMax: 10_000,
  lockListMax: 10_000,
  passthroughUsersMax: 1_000,
  ...DEFAULT_NODE_LIMITS,
  largeValueBytes: 1024 * 1024,
  workerMemoryMax: 1536 * 1024 * 1024,
  workerStallTimeoutMs: 10_000,
};

export const NODE_LIMITS = Object.keys(DEFAULT_NODE_LIMITS) as readonly (keyof NodeLimits)[];

/** Those of `limits` that hold for one node. */
export function nodeLimitsOf(limits: NodeLimits): NodeLimits {
  const own = { ...DEFAULT_NODE_LIMITS };
  for (const name of NODE_LIMITS) own[name] = limits[name];
  return own;
}
