/**
 * A worker thread that runs a driver: it echoes, tells a client `who` it is, and dies when one says `die`. When one says `fall` it
 * destroys all connections, and dies while their owners are being told so.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { ListenerSnapshot } from '../../src/messages.js';
import { EpollTransport } from '../../src/transport/epoll.js';
import type { Connection, ConnectionOwner } from '../../src/transport/transport.js';
import { UringTransport } from '../../src/transport/uring.js';

export interface EchoWorkerData {
  kind: 'io_uring' | 'epoll';
  worker: number;
  listeners: ListenerSnapshot[];
  descriptors: SharedArrayBuffer;
  handover: SharedArrayBuffer;
  wakeDescriptors: number[];
}

export type EchoWorkerReply = { kind: 'started' } | { kind: 'pong'; turns: number } | { kind: 'stopped' };

const port = parentPort;
if (port === null) throw new Error('this file is a worker');
const data = workerData as EchoWorkerData;
const options = { ...data, arenaBytes: 64 * 1024 * 1024 };
const transport = data.kind === 'epoll' ? new EpollTransport(options) : new UringTransport(options);
const tell = (reply: EchoWorkerReply) => port.postMessage(reply);

const connections = new Set<Connection>();
let isFalling = false;

function echo(connection: Connection): ConnectionOwner {
  connections.add(connection);
  return {
    onOpen: () => {},
    onBytes: (start, end) => {
      const text = Buffer.from(transport.arena.bytes.subarray(start, end)).toString('latin1');
      if (text.includes('die')) throw new Error('a client asked for it');
      if (text.includes('fall')) {
        isFalling = true;
        for (const each of connections) each.destroy(null);
        return end;
      }
      if (text.includes('who')) connection.output.appendBytes(Buffer.from(String(data.worker)));
      else connection.output.append(start, end);
      connection.flush();
      return end;
    },
    onEnd: () => connection.close(),
    onDrain: () => {},
    onClose: () => {
      connections.delete(connection);
      if (isFalling && connections.size === 1) throw new Error('a client asked for it');
    },
  };
}

port.on('message', (message: 'ping' | 'stop') => {
  if (message === 'ping') {
    tell({ kind: 'pong', turns: transport.turns });
    return;
  }
  void transport.stop().then(() => {
    tell({ kind: 'stopped' });
    port.close();
  });
});
transport.startAccepting({ onConnection: echo, onAcceptPaused: () => {} });
transport.start();
tell({ kind: 'started' });
