/**
 * The clients of `native-bench/reload`, in a thread of their own: what the benchmark itself does must not keep them waiting.
 * Told anything, it answers with what it has seen since the last time.
 */
import { createConnection, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

export interface ReloadClients {
  port: number;
  probes: number;
  clients: number;
}

export interface Seen {
  /** The longest that a prober waited for a reply, milliseconds. */
  longestMs: number;
  /** Replies that were errors, and connections that were lost. */
  errors: string[];
  /** Requests that were answered. */
  requests: number;
}

const HOST = '127.0.0.1';
const KEYS = 5_000;

const control = parentPort;
if (control === null) throw new Error('this file is a worker');
const { port, probes, clients } = workerData as ReloadClients;
let seen = nothing();

function nothing(): Seen {
  return { longestMs: 0, errors: [], requests: 0 };
}

function client(next: () => string, pauseMs: number, isProbe: boolean): Socket {
  const socket = createConnection({ host: HOST, port, noDelay: true });
  let askedMs = 0;
  const ask = () => {
    askedMs = performance.now();
    socket.write(next());
  };
  socket.on('connect', ask);
  socket.on('data', (reply) => {
    seen.requests++;
    if (isProbe) seen.longestMs = Math.max(seen.longestMs, performance.now() - askedMs);
    if (reply[0] === 0x2d) seen.errors.push(reply.toString());
    setTimeout(ask, pauseMs);
  });
  socket.on('error', (error) => seen.errors.push(error.message));
  socket.on('end', () => seen.errors.push('the connection was closed'));
  return socket;
}

// A new connection goes to the worker with the fewest sessions: of as many probers as workers each gets one.
for (let index = 0; index < probes; index++) client(() => 'PING\r\n', 1, true);
for (let index = 0; index < clients; index++) {
  let sent = 0;
  const next = () => {
    const key = `${index}:${(sent >> 1) % KEYS}`;
    return sent++ % 2 === 0 ? `SET ${key} ${sent}\r\n` : `GET ${key}\r\n`;
  };
  client(next, 2, false);
}

control.on('message', () => {
  control.postMessage(seen);
  seen = nothing();
});
