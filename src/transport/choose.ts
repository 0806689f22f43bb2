/** Which driver runs, and why: decided once by the main thread, said in the log. */
import type { Endpoint } from '../base/endpoint.js';
import type { TransportKind } from '../messages.js';
import { EPOLL_CLOEXEC, mapMemory, openWake, system, systemError, unmapArena } from './system.js';
import { TransportError } from './transport.js';
import { tryRing } from './uring-trial.js';

export interface TransportChoice {
  kind: TransportKind;
  /** For the log: `asked for by the configuration`, `koffi does not load: …`. */
  reason: string;
  /** As many as asked for, or 1 where only one can listen. */
  workers: number;
}

/**
 * The driver for `workers` workers that are to listen at `listen`. Throws a TransportError when `io_uring` or `epoll` is asked
 * for and cannot be had; `auto` falls back from one to the next.
 */
export function chooseTransport(
  wanted: 'auto' | TransportKind,
  workers: number,
  listen: readonly Endpoint[] = [],
): TransportChoice {
  if (wanted === 'node') return nodeChoice('asked for by the configuration', workers, listen);
  const obstacles: string[] = [];
  for (const kind of ['io_uring', 'epoll'] as const) {
    if (wanted !== 'auto' && wanted !== kind) continue;
    const obstacle = obstacleTo(kind);
    if (obstacle === null) {
      const reason = wanted === 'auto' ? 'the fastest that this system allows' : 'asked for by the configuration';
      return { kind, reason: [reason, ...obstacles].join('; '), workers };
    }
    if (wanted === kind) {
      throw new TransportError(obstacle.code, `transport ${kind} is not possible here: ${obstacle.message}`);
    }
    obstacles.push(`${kind} is not possible here: ${obstacle.message}`);
  }
  return nodeChoice(obstacles.join('; '), workers, listen);
}

/** What stands in the way of a driver, or null. */
function obstacleTo(kind: 'io_uring' | 'epoll'): TransportError | null {
  try {
    if (kind === 'io_uring') tryRing();
    else tryEpoll();
    return null;
  } catch (error) {
    if (error instanceof TransportError) return error;
    return new TransportError('ENOSYS', error instanceof Error ? error.message : String(error));
  }
}

/** Tries all that the epoll driver needs: libc, an epoll, an eventfd, an arena's memory. */
function tryEpoll(): void {
  const calls = system();
  const poll = calls.epollCreate(EPOLL_CLOEXEC);
  if (poll < 0) throw systemError('epoll_create1', calls.errno());
  calls.close(poll);
  calls.close(openWake());
  const mapped = mapMemory();
  unmapArena(mapped.address, mapped.bytes);
}

function nodeChoice(reason: string, workers: number, listen: readonly Endpoint[]): TransportChoice {
  if (workers === 1) return { kind: 'node', reason, workers };
  if (!canReusePort()) {
    return {
      kind: 'node',
      reason: `${reason}; one worker, because this Node cannot share a port among several`,
      workers: 1,
    };
  }
  if (listen.some(({ kind }) => kind === 'unix')) {
    return {
      kind: 'node',
      reason: `${reason}; one worker, because Node cannot share a unix socket among several`,
      workers: 1,
    };
  }
  return { kind: 'node', reason, workers };
}

/** True when this Node can listen on one port from several threads (`reusePort`, since 23.1). */
export function canReusePort(): boolean {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
  return process.platform === 'linux' && (major > 23 || (major === 23 && minor >= 1));
}
