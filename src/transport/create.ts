/** Builds the driver that a worker was told to run, or the one that it makes do with. */
import type { WorkerStart } from '../messages.js';
import { Descriptors } from './descriptors.js';
import { EpollTransport } from './epoll.js';
import { NodeTransport } from './node.js';
import { type Transport, TransportError } from './transport.js';
import { UringTransport } from './uring.js';

export type TransportStart = Pick<
  WorkerStart,
  'index' | 'transport' | 'listeners' | 'handover' | 'descriptors' | 'wakeDescriptors'
>;

/**
 * `onFallback` is called with the reason where the system refuses an io_uring to this worker, though it gave the main thread one to
 * try: memory or descriptors have run out since. It goes on with epoll.
 */
export function createTransport(start: TransportStart, onFallback: (reason: string) => void): Transport {
  const { index: worker, listeners, handover } = start;
  if (start.transport === 'node') return new NodeTransport({ worker, listeners, handover });
  const { descriptors, wakeDescriptors } = start;
  const options = { worker, listeners, descriptors, handover, wakeDescriptors };
  if (start.transport === 'epoll') return new EpollTransport(options);
  try {
    return new UringTransport(options);
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    new Descriptors(descriptors).closeAll(worker);
    const transport = new EpollTransport(options);
    onFallback(error.message);
    return transport;
  }
}
