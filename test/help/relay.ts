/** A TCP relay before a node or the proxy, which cuts connections in the middle of what they say, is slow, or parts the two. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Relay {
  /** Connections cut so far. */
  cuts = 0;
  private readonly server: Server;
  private targetPort = 0;
  private readonly pairs = new Set<[Socket, Socket]>();
  /** Bytes that each connection may still carry from the node; then it is cut. Null: any number. */
  private budget: (() => number) | null = null;
  private pauseMs = 0;
  private part: 'none' | 'silent' | 'refused' = 'none';
  private awaited: { is: (bytes: Buffer) => boolean; found: () => void } | null = null;

  private constructor(server: Server) {
    this.server = server;
    server.on('connection', (socket) => this.carry(socket));
  }

  /** A relay on a free port of 127.0.0.1. It leads nowhere before `to` was called. */
  static async start(): Promise<Relay> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Relay(server);
  }

  /** Leads to that port of 127.0.0.1 from now on; returns the URL of the relay itself. */
  to(targetPort: number): string {
    this.targetPort = targetPort;
    return `redis://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** From now on each connection is cut after `budget()` more bytes from the node; null ends that. */
  cutAfter(budget: (() => number) | null): void {
    this.budget = budget;
  }

  /** From now on each piece that is carried, of 64 KiB at the most, is followed by a pause. */
  slowDown(pauseMs: number): void {
    this.pauseMs = pauseMs;
  }

  /** Connections stay, and can be made, but nothing is carried: a cable that was pulled. `mend` brings what was sent meanwhile. */
  silence(): void {
    this.part = 'silent';
    for (const pair of this.pairs) for (const socket of pair) socket.pause();
  }

  /** Cuts all connections, and every new one as soon as it is made. */
  refuse(): void {
    this.part = 'refused';
    for (const pair of [...this.pairs]) this.cut(pair);
  }

  /** As `silence`, from the first piece of a client on that `is` the one: it is not carried. Resolves when it has come. */
  silenceAt(is: (bytes: Buffer) => boolean): Promise<void> {
    return new Promise((found) => {
      this.awaited = { is, found };
    });
  }

  /** Ends `silence` and `refuse`. */
  mend(): void {
    this.part = 'none';
    for (const pair of this.pairs) for (const socket of pair) socket.resume();
  }

  async stop(): Promise<void> {
    this.budget = null;
    for (const [client, node] of this.pairs) {
      client.destroy();
      node.destroy();
    }
    await new Promise((resolve) => this.server.close(resolve));
  }

  private carry(client: Socket): void {
    if (this.part === 'refused') {
      client.destroy();
      return;
    }
    const node = connect({ host: '127.0.0.1', port: this.targetPort, noDelay: true });
    const pair: [Socket, Socket] = [client, node];
    this.pairs.add(pair);
    let left = -1;
    node.on('data', (bytes) => {
      if (this.budget === null) left = -1;
      else if (left < 0) left = this.budget();
      if (left >= 0 && bytes.length >= left) {
        client.write(bytes.subarray(0, left), () => this.cut(pair));
        return;
      }
      if (left >= 0) left -= bytes.length;
      if (!client.write(bytes)) node.pause();
    });
    client.on('drain', () => this.readOn(node));
    client.on('data', (bytes) => {
      if (this.awaited?.is(bytes) === true) {
        const { found } = this.awaited;
        this.awaited = null;
        this.silence();
        client.unshift(bytes);
        found();
        return;
      }
      if (!node.write(bytes)) client.pause();
    });
    node.on('drain', () => this.readOn(client));
    for (const socket of pair) {
      socket.on('data', () => {
        if (this.pauseMs === 0) return;
        socket.pause();
        setTimeout(() => this.readOn(socket), this.pauseMs);
      });
    }
    if (this.part === 'silent') for (const socket of pair) socket.pause();
    for (const [one, other] of [pair, [node, client] as const]) {
      one.on('error', () => {});
      one.on('close', () => {
        this.pairs.delete(pair);
        other.destroy();
      });
    }
  }

  private readOn(socket: Socket): void {
    if (this.part !== 'silent') socket.resume();
  }

  /** Once each: a pair that is gone already was not cut by us. */
  private cut(pair: [Socket, Socket]): void {
    if (!this.pairs.delete(pair)) return;
    this.cuts++;
    for (const socket of pair) socket.destroy();
  }
}
