/**
 * Bounds of a lease's length, in milliseconds. Shorter ones end while a store elects a leader. Longer ones keep a fleet waiting for who
 * is gone.
 */
export const LEASE_MS_MIN = 500;
export const LEASE_MS_MAX = 600_000;
