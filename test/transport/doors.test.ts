/** Listeners that come and go while a driver runs, and the doors that connections come in by. */
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import type { Endpoint } from '../../src/base/endpoint.js';
import { waitFor } from '../help/wait-for.js';
import { DRIVERS, LOOPBACK, type Rig } from './rig.js';

async function dial(t: Test, endpoint: Endpoint): Promise<Socket> {
  if (endpoint.kind !== 'tcp') throw new Error('only TCP is dialled here');
  const socket = connect(endpoint.port, endpoint.host);
  t.teardown(() => socket.destroy());
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

/** Connects there, and resolves with the door by which the connection came in. */
async function doorOf(t: Test, rig: Rig, endpoint: Endpoint): Promise<number> {
  const before = rig.accepted.length;
  await dial(t, endpoint);
  await waitFor('a connection', () => rig.accepted.length > before);
  return rig.accepted.at(-1)?.door ?? -1;
}

for (const [kind, start] of Object.entries(DRIVERS)) {
  t.test(`${kind}: connections carry the door that they came in by, also one that has changed`, async (t) => {
    const rig = await start();
    t.teardown(() => rig.stop());
    t.equal(await doorOf(t, rig, rig.endpoint), 0);
    const second = await rig.open(LOOPBACK, 7);
    rig.transport.setListeners([rig.listener, second]);
    t.equal(await doorOf(t, rig, rig.endpoint), 0);
    t.equal(await doorOf(t, rig, second.endpoint), 7);
    rig.transport.setListeners([
      { ...rig.listener, door: 4095 },
      { ...second, door: 0 },
    ]);
    t.equal(await doorOf(t, rig, rig.endpoint), 4095);
    t.equal(await doorOf(t, rig, second.endpoint), 0);
  });

  t.test(`${kind}: a listener that went takes none, its connections stay, and it may come back`, async (t) => {
    const rig = await start();
    t.teardown(() => rig.stop());
    const second = await rig.open(LOOPBACK, 1);
    rig.transport.setListeners([rig.listener, second]);
    const old = await dial(t, second.endpoint);
    await waitFor('a connection', () => rig.accepted.length === 1);
    rig.transport.setListeners([rig.listener]);
    // The descriptor is the main thread's to close; until then the kernel connects, and nobody takes it.
    const late = dial(t, second.endpoint).catch((error: NodeJS.ErrnoException) => error.code);
    t.equal(await doorOf(t, rig, rig.endpoint), 0);
    t.equal(await doorOf(t, rig, rig.endpoint), 0);
    t.equal(rig.accepted.length, 3);
    if (kind === 'node') t.equal(await late, 'ECONNREFUSED');
    old.write('still here');
    await rig.accepted[0]?.until(() => rig.accepted[0]?.text() === 'still here');
    rig.transport.setListeners([second]);
    if (kind !== 'node') await waitFor('the one that waited', () => rig.accepted.length === 4);
    t.equal(await doorOf(t, rig, second.endpoint), 1);
  });

  t.test(`${kind}: a driver that has stopped accepting takes no new listeners either`, async (t) => {
    const rig = await start();
    t.teardown(() => rig.stop());
    const second = await rig.open(LOOPBACK, 1);
    rig.transport.stopAccepting();
    rig.transport.setListeners([rig.listener, second]);
    const late = dial(t, second.endpoint).catch((error: NodeJS.ErrnoException) => error.code);
    if (kind === 'node') t.equal(await late, 'ECONNREFUSED');
    const { turns } = rig.transport;
    rig.transport.timers.set(rig.transport.now + 20, () => {});
    await waitFor('some turns', () => rig.transport.turns > turns);
    t.equal(rig.accepted.length, 0);
  });
}
