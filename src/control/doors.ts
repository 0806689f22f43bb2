/**
 * The addresses that clients come in by. The main thread opens each listening descriptor, and all workers accept
 * from it; with the node driver workers listen themselves, and the main thread tries beforehand whether they can.
 *
 *   prepare(addresses) --> opened, or an error and nothing has changed
 *   adopt(prepared)    --> these are the doors now; those that are not among them stay open until every worker
 *                          has turned away from them: closeGone(version)
 */
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import type { ListenerSnapshot, TransportKind } from '../messages.js';
import { closeListener, endListening, type Listener, openListener, tryListener } from '../transport/listener.js';
import { TransportError } from '../transport/transport.js';

interface Door {
  /** The address with the port that was chosen where port 0 was asked for. */
  endpoint: Endpoint;
  /** Null with the node driver. */
  listener: Listener | null;
}

/** Doors by the text of the address that was asked for. */
export type PreparedDoors = ReadonlyMap<string, Door>;

export class Doors {
  private readonly transport: TransportKind;
  private readonly workers: number;
  private current: PreparedDoors = new Map();
  /** Doors that are none since the topology of that version. */
  private gone: { version: number; listener: Listener }[] = [];

  constructor(transport: TransportKind, workers: number) {
    this.transport = transport;
    this.workers = workers;
  }

  /** The addresses that are listened on. */
  get endpoints(): readonly Endpoint[] {
    return [...this.current.values()].map(({ endpoint }) => endpoint);
  }

  /** Opens those of `asked` that are not open. Rejects in plain words when one cannot be; then none is. */
  async prepare(asked: readonly Endpoint[]): Promise<PreparedDoors> {
    const prepared = new Map<string, Door>();
    try {
      for (const endpoint of asked) {
        const text = formatEndpoint(endpoint);
        prepared.set(text, this.current.get(text) ?? (await this.open(endpoint)));
      }
    } catch (error) {
      this.abandon(prepared);
      throw error;
    }
    return prepared;
  }

  /** Closes what was opened for these doors, which will not be used. */
  abandon(prepared: PreparedDoors): void {
    for (const [text, { listener }] of prepared) {
      if (listener !== null && !this.current.has(text)) closeListener(listener);
    }
  }

  /** From the topology of that version on, these are the doors. */
  adopt(prepared: PreparedDoors, version: number): void {
    for (const [text, { listener }] of this.current) {
      if (listener !== null && !prepared.has(text)) this.gone.push({ version, listener });
    }
    this.current = prepared;
  }

  /** Every worker goes by the topology of that version, or a later one. */
  closeGone(version: number): void {
    for (const gone of this.gone) if (gone.version <= version) closeListener(gone.listener);
    this.gone = this.gone.filter((gone) => gone.version > version);
  }

  /** What workers are to accept from: `door` says the number of the service that has an address. */
  snapshots(prepared: PreparedDoors, door: (asked: string) => number): ListenerSnapshot[] {
    return [...prepared].map(([asked, { endpoint, listener }]) => {
      return { endpoint, descriptor: listener?.descriptor ?? -1, door: door(asked) };
    });
  }

  /** Refuses new connections from now on. */
  end(): void {
    for (const { listener } of this.current.values()) if (listener !== null) endListening(listener);
  }

  /** Only after all workers have ended. */
  close(): void {
    this.closeGone(Number.POSITIVE_INFINITY);
    for (const { listener } of this.current.values()) if (listener !== null) closeListener(listener);
    this.current = new Map();
  }

  private async open(endpoint: Endpoint): Promise<Door> {
    try {
      return await this.tryOpen(endpoint);
    } catch (error) {
      const own = this.ownOnSamePort(endpoint);
      if (own === null || !(error instanceof TransportError) || error.code !== 'EADDRINUSE') throw error;
      const reason = `this proxy listens on ${own} until the new configuration holds; a restart can change it`;
      throw new TransportError(error.code, `cannot listen on ${formatEndpoint(endpoint)}: ${reason}`);
    }
  }

  /** An address of ours that stands in the way of `endpoint`: 0.0.0.0:6380 cannot be had beside 127.0.0.1:6380. */
  private ownOnSamePort(endpoint: Endpoint): string | null {
    const port = endpoint.kind === 'tcp' ? endpoint.port : -1;
    const own = this.endpoints.find((other) => other.kind === 'tcp' && other.port === port);
    return own === undefined ? null : formatEndpoint(own);
  }

  private async tryOpen(endpoint: Endpoint): Promise<Door> {
    if (this.transport !== 'node') {
      const listener = openListener(endpoint);
      return { endpoint: listener.endpoint, listener };
    }
    if (endpoint.kind === 'unix' && this.workers > 1) {
      const reason = 'Node cannot share a unix socket among several workers; a restart runs one worker';
      throw new TransportError('EOPNOTSUPP', `cannot listen on ${formatEndpoint(endpoint)}: ${reason}`);
    }
    return { endpoint: await tryListener(endpoint), listener: null };
  }
}
