/** What native-bench uses of autocannon, which brings no types. */
declare module 'autocannon' {
  export interface Options {
    url: string;
    connections: number;
    /** Seconds. */
    duration: number;
    /** Requests per second of all connections together; as many as can be unless given. */
    overallRate?: number;
  }

  export interface Result {
    /** Per second, sampled each second. */
    requests: { average: number; total: number };
    /** Milliseconds. */
    latency: { p50: number; p99: number };
    errors: number;
    timeouts: number;
    non2xx: number;
    /** Seconds. */
    duration: number;
  }

  /** A promise of the result that can be ended before its time. */
  export interface Running extends Promise<Result> {
    stop(): void;
  }

  export default function autocannon(options: Options): Running;
}
