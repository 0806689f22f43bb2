/** A transport of the proxy's own, opened for a process that only asks. */
import { chooseTransport } from '../../src/transport/choose.js';
import { createTransport } from '../../src/transport/create.js';
import { createDescriptors, Descriptors } from '../../src/transport/descriptors.js';
import { EpollTransport } from '../../src/transport/epoll.js';
import { buryWorker, createHandover, Handover } from '../../src/transport/handover.js';
import { openWake, system } from '../../src/transport/system.js';
import type { Transport } from '../../src/transport/transport.js';

export interface Driver {
  readonly transport: Transport;
  /** Readable when the transport has something to do; null where it has no such descriptor. */
  readonly readyDescriptor: number | null;
  close(): Promise<void>;
}

/** Throws a TransportError where what is wanted cannot be had. */
export function openDriver(wanted: 'auto' | 'epoll' | 'node'): Driver {
  const { kind } = chooseTransport(wanted, 1);
  const [descriptors, handover] = [createDescriptors(1), createHandover(1)];
  const wakeDescriptors = kind === 'node' ? [] : [openWake()];
  const transport = createTransport({
    index: 0,
    transport: kind,
    listeners: [],
    descriptors,
    handover,
    wakeDescriptors,
  });
  const close = async () => {
    await transport.stop();
    if (kind === 'node') return;
    const table = new Descriptors(descriptors);
    buryWorker(0, table, new Handover(handover, table, wakeDescriptors));
    for (const descriptor of wakeDescriptors) system().close(descriptor);
  };
  const readyDescriptor = transport instanceof EpollTransport ? transport.poll.descriptor : null;
  return { transport, readyDescriptor, close };
}
