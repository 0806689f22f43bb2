/** Builds the driver that a worker was told to run. */
import type { WorkerStart } from '../messages.js';
import { EpollTransport } from './epoll.js';
import { NodeTransport } from './node.js';
import type { Transport } from './transport.js';
import { UringTransport } from './uring.js';

export type TransportStart = Pick<
  WorkerStart,
  'index' | 'transport' | 'listeners' | 'handover' | 'descriptors' | 'wakeDescriptors'
>;

export function createTransport(start: TransportStart): Transport {
  const { index: worker, listeners, handover } = start;
  if (start.transport === 'node') return new NodeTransport({ worker, listeners, handover });
  const { descriptors, wakeDescriptors } = start;
  const options = { worker, listeners, descriptors, handover, wakeDescriptors };
  return start.transport === 'io_uring' ? new UringTransport(options) : new EpollTransport(options);
}
