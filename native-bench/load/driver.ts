/** A transport of the proxy's own, opened for a process that only asks. */
import type { TransportKind } from '../../src/messages.js';
import { chooseTransport } from '../../src/transport/choose.js';
import { createTransport } from '../../src/transport/create.js';
import { createDescriptors, Descriptors } from '../../src/transport/descriptors.js';
import { EpollTransport } from '../../src/transport/epoll.js';
import { buryWorker, createHandover, Handover } from '../../src/transport/handover.js';
import { openWake, system } from '../../src/transport/system.js';
import type { Transport } from '../../src/transport/transport.js';
import { UringTransport } from '../../src/transport/uring.js';
import { pollingSleep, type Sleep } from './nap.js';

export interface Driver {
  readonly transport: Transport;
  /** Ends early when the transport has something to do; null where nothing is known that does. */
  readonly sleep: Sleep | null;
  close(): Promise<void>;
}

/** Throws a TransportError where what is wanted cannot be had. */
export function openDriver(wanted: 'auto' | TransportKind): Driver {
  const { kind } = chooseTransport(wanted, 1);
  const [descriptors, handover] = [createDescriptors(1), createHandover(1)];
  const wakeDescriptors = kind === 'node' ? [] : [openWake()];
  const transport = createTransport(
    { index: 0, transport: kind, listeners: [], descriptors, handover, wakeDescriptors },
    (reason) => {
      throw new Error(`what was to be measured cannot be had: ${reason}`);
    },
  );
  const close = async () => {
    await transport.stop();
    if (kind === 'node') return;
    const table = new Descriptors(descriptors);
    buryWorker(0, table, new Handover(handover, table, wakeDescriptors));
    for (const descriptor of wakeDescriptors) system().close(descriptor);
  };
  return { transport, sleep: sleepOf(transport), close };
}

function sleepOf(transport: Transport): Sleep | null {
  if (transport instanceof EpollTransport) return pollingSleep(transport.poll.descriptor);
  // A ring that defers its work until it is entered does not become readable. What `enter` finds is there for the next turn, too.
  if (transport instanceof UringTransport) return (us) => void transport.ring.enter(us / 1_000);
  return null;
}
