/** What the transport's tests stand on: a driver in this very thread, and an owner that notes what it hears. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Endpoint } from '../../src/base/endpoint.js';
import type { ListenerSnapshot, TransportKind } from '../../src/messages.js';
import { createDescriptors, Descriptors } from '../../src/transport/descriptors.js';
import { EpollTransport } from '../../src/transport/epoll.js';
import { buryWorker, createHandover, Handover } from '../../src/transport/handover.js';
import { closeListener, type Listener, openListener, tryListener } from '../../src/transport/listener.js';
import { NodeTransport } from '../../src/transport/node.js';
import { openWake, system } from '../../src/transport/system.js';
import type {
  Acceptor,
  Connection,
  ConnectionOwner,
  Transport,
  TransportError,
} from '../../src/transport/transport.js';
import type { LoopOptions } from '../../src/transport/turn-loop.js';
import { UringTransport } from '../../src/transport/uring.js';

export interface RigOptions {
  listen?: Endpoint;
  arenaBytes?: number;
  /** Makes the owner of an accepted connection; a Probe that does nothing if left out. */
  onConnection?: (connection: Connection) => ConnectionOwner;
  onAcceptPaused?: (error: TransportError, pausedMs: number) => void;
}

export interface Rig {
  readonly transport: Transport;
  /** Where it listens, accepts and is started. */
  readonly endpoint: Endpoint;
  /** The listener at `endpoint`; its door is 0. */
  readonly listener: ListenerSnapshot;
  /** Makes another listener, for `transport.setListeners`. */
  open(endpoint: Endpoint, door: number): Promise<ListenerSnapshot>;
  /** Owners of accepted connections, if they are Probes. */
  readonly accepted: Probe[];
  stop(): Promise<void>;
}

export const LOOPBACK: Endpoint = { kind: 'tcp', host: '127.0.0.1', port: 0 };

type Start = (options?: RigOptions) => Promise<Rig>;

/** Starts a driver that accepts from the main thread's descriptors. */
function startLoop(create: (options: LoopOptions) => Transport): Start {
  return async (options = {}) => {
    const descriptors = createDescriptors(1);
    const handover = createHandover(1);
    const wakeDescriptors = [openWake()];
    const listeners = [openListener(options.listen ?? LOOPBACK)];
    const listener = { ...(listeners[0] as Listener), door: 0 };
    const transport = create({
      worker: 0,
      listeners: [listener],
      descriptors,
      handover,
      wakeDescriptors,
      arenaBytes: options.arenaBytes ?? 512 * 1024 * 1024,
    });
    const accepted = await startAccepting(transport, options);
    const stop = once(async () => {
      await transport.stop();
      const table = new Descriptors(descriptors);
      buryWorker(0, table, new Handover(handover, table, wakeDescriptors));
      for (const opened of listeners) closeListener(opened);
      for (const descriptor of wakeDescriptors) system().close(descriptor);
    });
    const openDoor = async (endpoint: Endpoint, door: number) => {
      const opened = openListener(endpoint);
      listeners.push(opened);
      return { ...opened, door };
    };
    return { transport, endpoint: listener.endpoint, listener, open: openDoor, accepted, stop };
  };
}

export const DRIVERS: Record<TransportKind, Start> = {
  io_uring: startLoop((options) => new UringTransport(options)),
  epoll: startLoop((options) => new EpollTransport(options)),
  node: async (options = {}) => {
    const endpoint = await tryListener(options.listen ?? LOOPBACK);
    const arenaBytes = options.arenaBytes ?? 512 * 1024 * 1024;
    const listener = { endpoint, descriptor: -1, door: 0 };
    const transport = new NodeTransport({
      worker: 0,
      listeners: [listener],
      handover: createHandover(1),
      arenaBytes,
    });
    const accepted = await startAccepting(transport, options);
    const open = async (endpoint: Endpoint, door: number) => {
      return { endpoint: await tryListener(endpoint), descriptor: -1, door };
    };
    return { transport, endpoint, listener, open, accepted, stop: () => transport.stop() };
  },
};

function once(stop: () => Promise<void>): () => Promise<void> {
  let stopped: Promise<void> | null = null;
  return () => {
    stopped ??= stop();
    return stopped;
  };
}

async function startAccepting(transport: Transport, options: RigOptions): Promise<Probe[]> {
  const accepted: Probe[] = [];
  const acceptor: Acceptor = {
    onConnection: (connection, door) => {
      const owner = options.onConnection?.(connection) ?? new Probe();
      if (owner instanceof Probe) {
        owner.attach(transport, connection);
        owner.door = door;
        accepted.push(owner);
      }
      return owner;
    },
    onAcceptPaused: (error, pausedMs) => options.onAcceptPaused?.(error, pausedMs),
  };
  transport.startAccepting(acceptor);
  await new Promise<void>((resolve) => transport.start(resolve));
  return accepted;
}

/** How deep owners are being called: never deeper than one. */
let depth = 0;
/** Set while a test itself calls into the driver: owners must not be called from there. */
let isOutside = false;

/** Runs `action` as somebody would who is in no turn; an owner that is called meanwhile is an error. */
export function outside<T>(action: () => T): T {
  isOutside = true;
  try {
    return action();
  } finally {
    isOutside = false;
  }
}

type Call = 'open' | 'bytes' | 'end' | 'drain' | 'broken' | 'close';

/** An owner that notes everything, and takes all bytes unless told otherwise. */
export class Probe implements ConnectionOwner {
  readonly calls: Call[] = [];
  /** Consumed bytes. */
  readonly received: Buffer[] = [];
  receivedBytes = 0;
  error: Error | null | undefined;
  /** What to do at each call; `onBytes` returns how many bytes it consumed. */
  also: Partial<Record<Call, () => void>> = {};
  consume: (bytes: Buffer, start: number) => number = (bytes) => bytes.length;
  /** Left out: it hears onClose at once. */
  onBroken?: () => void;
  connection: Connection | null = null;
  /** By which it came in; -1 for one that it opened itself. */
  door = -1;
  private transport: Transport | null = null;
  private waiting: { condition: () => boolean; resolve: () => void }[] = [];

  attach(transport: Transport, connection: Connection): this {
    this.transport = transport;
    this.connection = connection;
    return this;
  }

  get link(): Connection {
    if (this.connection === null) throw new Error('the probe has no connection');
    return this.connection;
  }

  /** Appends bytes and has them sent. */
  send(bytes: Buffer | string): void {
    this.link.output.appendBytes(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    this.link.flush();
  }

  text(): string {
    return Buffer.concat(this.received).toString('latin1');
  }

  count(call: Call): number {
    return this.calls.filter((other) => other === call).length;
  }

  /** Resolves when `condition` holds after a call. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => this.waiting.push({ condition, resolve }));
  }

  async closed(): Promise<Error | null> {
    await this.until(() => this.error !== undefined);
    return this.error ?? null;
  }

  onOpen(): void {
    this.note('open', () => {});
  }

  onBytes(start: number, end: number): number {
    let consumed = 0;
    this.note('bytes', () => {
      if (this.transport === null) throw new Error('the probe has no transport');
      if (start >= end) throw new Error(`onBytes was called for [${start}, ${end})`);
      const bytes = Buffer.from(this.transport.arena.bytes.subarray(start, end));
      consumed = this.consume(bytes, start);
      this.received.push(bytes.subarray(0, consumed));
      this.receivedBytes += consumed;
    });
    return start + consumed;
  }

  onEnd(): void {
    this.note('end', () => {});
  }

  onDrain(): void {
    this.note('drain', () => {});
  }

  /** It wants what its peer said before it broke off, also where that is while it pauses. */
  wantLastWords(): this {
    this.onBroken = () => this.note('broken', () => {});
    return this;
  }

  onClose(error: Error | null): void {
    if (this.connection?.output.overflowed === false && this.connection.output.heldBytes < 0) {
      throw new Error('the output was disposed before onClose');
    }
    this.note('close', () => {
      this.error = error;
    });
  }

  private note(call: Call, action: () => void): void {
    if (depth > 0) throw new Error(`on ${call}: an owner was called from inside an owner's call`);
    if (isOutside) throw new Error(`on ${call}: an owner was called outside of a turn`);
    if (this.calls.includes('close')) throw new Error(`on ${call} after close`);
    depth++;
    this.calls.push(call);
    action();
    this.also[call]?.();
    depth--;
    for (const { condition, resolve } of this.waiting.splice(0)) {
      // A promise that is resolved inside a turn goes on when Node is on turn next; setImmediate sees to that.
      if (condition()) setImmediate(resolve);
      else this.waiting.push({ condition, resolve });
    }
  }
}

/** Opens a connection of the driver itself. */
export function dial(rig: Rig, endpoint: Endpoint, options: { timeoutMs?: number; retaining?: boolean } = {}): Probe {
  const probe = new Probe();
  const { timeoutMs = 10_000, retaining = false } = options;
  const connection = outside(() => rig.transport.connect({ endpoint, timeoutMs, retaining }, probe));
  return probe.attach(rig.transport, connection);
}

/** A plain client. */
export async function plainClient(endpoint: Endpoint, options: { allowHalfOpen?: boolean } = {}): Promise<Socket> {
  const socket =
    endpoint.kind === 'unix'
      ? connect({ path: endpoint.path, ...options })
      : connect({ host: endpoint.host, port: endpoint.port, noDelay: true, ...options });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

/** Resolves when the probe of the next, or `index`-th, accepted connection is there. */
export async function acceptedProbe(rig: Rig, index = 0): Promise<Probe> {
  for (;;) {
    const probe = rig.accepted[index];
    if (probe !== undefined) return probe;
    await round();
  }
}

/** One round of Node's loop. */
export function round(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Some rounds of it. */
export async function rounds(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await round();
}

/** What the socket receives until it ends. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await new Promise<void>((resolve, reject) => {
    socket.once('end', resolve);
    socket.once('error', reject);
  });
  return Buffer.concat(chunks);
}

/** What the socket receives until there are `length` bytes. */
export async function readBytes(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  await new Promise<void>((resolve, reject) => {
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes < length) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
    socket.once('error', reject);
    socket.once('end', () => reject(new Error(`the connection ended after ${bytes} of ${length} bytes`)));
  });
  return Buffer.concat(chunks);
}

/** Containers often have no IPv6. */
export function hasIPv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1'));
}

/** Open descriptors of this process. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** A directory for unix sockets, removed after the test. */
export function socketDirectory(t: { teardown(action: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'rl-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
