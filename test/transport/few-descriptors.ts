/** A process of its own, started with few descriptors: echoes on the driver it is told, and reports how accepting goes. */
import { createInterface } from 'node:readline';
import type { TransportKind } from '../../src/messages.js';
import { DRIVERS, Probe } from './rig.js';

export interface FewDescriptorsReport {
  port: number;
  pauses: number;
  pausedMs: number;
  reason: string;
  sessions: number;
  turns: number;
}

let pauses = 0;
let reason = '';
let pausedMs = 0;
const rig = await DRIVERS[process.argv[2] as TransportKind]({
  onConnection: () => {
    const probe = new Probe();
    probe.consume = (bytes) => {
      probe.send(bytes);
      return bytes.length;
    };
    probe.also.end = () => probe.link.close();
    return probe;
  },
  onAcceptPaused: (error, forMs) => {
    pauses++;
    reason = error.message;
    pausedMs = forMs;
  },
});

function report(): void {
  const { transport, endpoint } = rig;
  const port = endpoint.kind === 'tcp' ? endpoint.port : 0;
  const values: FewDescriptorsReport = {
    port,
    pauses,
    pausedMs,
    reason,
    sessions: transport.totalSessions(),
    turns: transport.turns,
  };
  console.log(JSON.stringify(values));
}

createInterface({ input: process.stdin }).on('line', report);
report();
