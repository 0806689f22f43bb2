/** All channels of one worker: one for each node and protocol. RESP3 ones open with the first session that needs them. */
import type { NodeSnapshot, TopologySnapshot } from '../messages.js';
import { Channel, type ChannelContext } from './channel.js';

/** Milliseconds between looks at the clock while commands are in flight, and otherwise. */
const SWEEP_BUSY_MS = 50;
const SWEEP_IDLE_MS = 500;

export class BackendPool {
  /** By node index. The hot path reads these arrays. */
  readonly resp2: readonly Channel[];
  readonly resp3: readonly Channel[];
  private readonly context: ChannelContext;
  private isClosed = false;

  constructor(context: ChannelContext, topology: TopologySnapshot) {
    this.context = context;
    const channel = (protocol: 2 | 3) => (node: NodeSnapshot) => new Channel(context, node, protocol);
    this.resp2 = topology.nodes.map(channel(2));
    this.resp3 = topology.nodes.map(channel(3));
  }

  /** Connects to every node. */
  open(): void {
    for (const channel of this.resp2) channel.open();
    this.sweepLater();
  }

  /** Gives up every connection; what is in flight is answered with `reason`. */
  close(reason: string): void {
    this.isClosed = true;
    for (const channel of this.all()) channel.close(reason);
  }

  /** The version of the first node that said one, or ''. */
  version(): string {
    for (const channel of this.all()) if (channel.version !== '') return channel.version;
    return '';
  }

  private sweepLater(): void {
    const { transport } = this.context;
    const isBusy = this.all().some((channel) => channel.isBusy || channel.state === 'connecting');
    transport.timers.set(transport.now + (isBusy ? SWEEP_BUSY_MS : SWEEP_IDLE_MS), () => {
      if (this.isClosed) return;
      for (const channel of this.all()) channel.sweep();
      this.sweepLater();
    });
  }

  private all(): Channel[] {
    return [...this.resp2, ...this.resp3];
  }
}
