/** Builds the driver that a worker was told to run. */
import type { WorkerStart } from '../messages.js';
import { EpollTransport } from './epoll.js';
import type { Transport } from './transport.js';

export function createTransport(start: WorkerStart): Transport {
  return new EpollTransport({
    worker: start.index,
    listenDescriptors: start.listenDescriptors,
    descriptors: start.descriptors,
    handover: start.handover,
    wakeDescriptors: start.wakeDescriptors,
  });
}
