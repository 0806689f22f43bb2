/**
 * The task of one data-plane thread: builds a data plane on a driver, ties it to the control plane's messages, and runs
 * until it is told to drain. An error that nothing catches ends the thread; the supervisor starts another.
 */
import { threadId } from 'node:worker_threads';
import { BusyNodes } from './base/busy-nodes.js';
import { ClientCount } from './base/client-count.js';
import { CommandTimes } from './base/command-times.js';
import { beat } from './base/heartbeat.js';
import { IdleHeap } from './base/idle-heap.js';
import { LockTurns } from './base/lock-turns.js';
import type { LogLevel } from './base/log-event.js';
import { Metrics, nextClientId, readMetrics } from './base/metrics.js';
import { MonitorFeed } from './base/monitor-feed.js';
import { ShownScripts } from './base/shown-scripts.js';
import type { Answer, LockTold, ToControl, ToWorker, WorkerStart } from './messages.js';
import { DataPlane } from './proxy/data-plane.js';
import { COMMANDS } from './resp/commands.js';
import { KnownParts } from './routing/known-parts.js';
import { createTransport } from './transport/create.js';

const PUBLISH_MS = 500;

/** Resolves when the worker has drained. It never rejects: whatever goes wrong ends the thread. */
export default function worker(start: WorkerStart): Promise<void> {
  return new Promise((resolve) => queueMicrotask(() => run(start, resolve)));
}

function run(start: WorkerStart, onEnded: () => void): void {
  const { port, index, limits, rules, topology } = start;
  const tell = (message: ToControl) => port.postMessage(message);
  tell({ kind: 'born', threadId });
  const metrics = new Metrics(start.metrics, index);
  const transport = createTransport(start, (reason) => {
    tell({ kind: 'log', level: 'warn', event: 'worker-on-epoll', fields: { worker: index, reason } });
  });

  let lastResolve = 0;
  const resolving = new Map<number, (host: string | null, error: string | null) => void>();
  let lastAsked = 0;
  const asked = new Map<number, (answers: readonly Answer[], silent: readonly number[]) => void>();
  let lastLock = 0;
  const lockAsks = new Map<number, (told: LockTold) => void>();
  const known = new KnownParts(topology, start.parts);
  const plane = new DataPlane({
    transport,
    topology,
    limits,
    rules,
    process: start.process,
    pauses: start.pauses,
    counts: metrics.counts,
    totals: () => {
      metrics.publish();
      return readMetrics(start.metrics);
    },
    random: Math.random,
    publishClients: () => metrics.publishClients(),
    resolve: (host, hostPort, done) => {
      resolving.set(++lastResolve, done);
      tell({ kind: 'resolve', id: lastResolve, host, port: hostPort });
    },
    ask: (question, done) => {
      asked.set(++lastAsked, done);
      tell({ kind: 'ask', id: lastAsked, question });
    },
    askLock: (ask, told) => {
      const id = ++lastLock;
      lockAsks.set(id, told);
      tell({ kind: 'ask-lock', id, ask });
      return () => tell({ kind: 'end-lock', id });
    },
    postHints: (pool, node, hints, count) => {
      port.postMessage({ kind: 'hints', pool, node, hints, count } satisfies ToControl, [hints.buffer as ArrayBuffer]);
    },
    onNodeState: ({ pool, name }, isUp, reason) => tell({ kind: 'node-state', pool, node: name, isUp, reason }),
    clients: new ClientCount(start.clients, index),
    lockTurns: new LockTurns(start.lockTurns, index),
    times: new CommandTimes(start.commandTimes, index, COMMANDS.length),
    busyNodes: new BusyNodes(start.busyNodes, index),
    feed: new MonitorFeed(start.monitorFeed, index),
    shownScripts: new ShownScripts(start.shownScripts),
    nextClientId: () => nextClientId(start.clientIds),
    log: (level: LogLevel, event, fields) => tell({ kind: 'log', level, event, fields }),
  });

  /** Whether commands waited for a node when it was last told. */
  let wasBusy = false;
  const heap = new IdleHeap(() => plane.dropSpares());
  const publish = () => {
    heap.look(transport.now, metrics.counts.commands);
    metrics.counts.memoryBytes = transport.arena.usedBytes;
    metrics.publish();
    beat(start.heartbeats, index);
    const queued = plane.queued();
    const isBusy = queued.commands.some((count) => count > 0);
    if (isBusy || wasBusy) tell({ kind: 'queued', ...queued });
    wasBusy = isBusy;
    transport.timers.set(transport.now + PUBLISH_MS, publish);
  };

  const end = async () => {
    metrics.publish();
    await transport.stop();
    port.close();
    onEnded();
  };

  port.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'resolved': {
        const done = resolving.get(message.id);
        resolving.delete(message.id);
        done?.(message.endpoint?.kind === 'tcp' ? message.endpoint.host : null, message.error);
        return;
      }
      case 'question':
        plane.answer(message.question, message.isOwn, (answer) => {
          // Who has the answer is to find the counts as they are by it.
          metrics.publish();
          tell({ kind: 'answer', call: message.call, answer });
        });
        return;
      case 'answers': {
        const done = asked.get(message.id);
        asked.delete(message.id);
        done?.(message.answers, message.silent);
        return;
      }
      case 'hints-taken':
        plane.onHintsTaken(message.bytes);
        return;
      case 'lock-told': {
        const told = lockAsks.get(message.id);
        lockAsks.delete(message.id);
        told?.(message.told);
        return;
      }
      case 'learn':
        plane.prepare(known.learn(message.parts));
        tell({ kind: 'learned' });
        return;
      case 'configure': {
        const startMs = performance.now();
        const { version } = message.topology;
        let [tookMs, missing] = [0, 2];
        // It goes by that version where both are done.
        const done = () => {
          if (--missing === 0) tell({ kind: 'configured', version, tookMs });
        };
        plane.configure(known.assemble(message.topology), message.limits, message.rules, done);
        tookMs = performance.now() - startMs;
        transport.setListeners(message.listeners, done);
        return;
      }
      case 'drain':
        plane.drain(transport.now + message.deadlineMs, end);
        return;
      case 'crash':
        throw new Error('a crash was asked for');
      case 'hang':
        // Inside a turn, as a mistake of ours would be.
        transport.timers.set(transport.now, () => {
          for (;;);
        });
        return;
    }
  });
  plane.start();
  publish();
  transport.start(() => tell({ kind: 'started' }));
}
