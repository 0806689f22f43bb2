/** What only the io_uring driver does. */
import { existsSync } from 'node:fs';
import t from 'tap';
import type { UringTransport } from '../../src/transport/uring.js';
import { CANCEL, keyOf, RECEIVE } from '../../src/transport/uring-keys.js';
import { OP_NOP } from '../../src/transport/uring-numbers.js';
import { waitFor } from '../help/wait-for.js';
import { acceptedProbe, DRIVERS, outside, Probe, plainClient, type Rig, readBytes } from './rig.js';
import { Seeded } from './seeded.js';
import { weather } from './uring-storm.js';

const MIB = 1024 * 1024;

const start = DRIVERS.io_uring;

function echo(): Probe {
  const probe = new Probe();
  probe.consume = (bytes, start) => {
    probe.link.output.append(start, start + bytes.length);
    probe.link.flush();
    return bytes.length;
  };
  probe.also.end = () => probe.link.close();
  return probe;
}

t.test('a late completion does not reach the connection that has the place now', async (t) => {
  const rig = await start();
  t.teardown(() => rig.stop());
  const transport = rig.transport as UringTransport;
  const first = await plainClient(rig.endpoint);
  const before = await acceptedProbe(rig);
  const { place, generation } = before.link as unknown as { place: number; generation: number };
  first.resetAndDestroy();
  await before.closed();
  await waitFor('the place to be free', () => transport.connectionAt(place) === null);
  const second = await plainClient(rig.endpoint);
  const probe = await acceptedProbe(rig, 1);
  t.equal((probe.link as unknown as { place: number }).place, place, 'it has the place of the one before');
  // The end of a stream, as the one before would have been told of it.
  const key = keyOf(place, RECEIVE);
  await inTurn(rig, () => transport.ring.push(OP_NOP, 0, 0, -1, 0, 0, 0, key, generation));
  second.write('hello');
  await probe.until(() => probe.text() === 'hello');
  t.same(probe.calls, ['bytes'], 'nobody told it of an end');
  second.destroy();
});

t.test('a descriptor is closed, and its place free, when the last operation on it has ended', async (t) => {
  const rig = await start();
  t.teardown(() => rig.stop());
  const transport = rig.transport as UringTransport;
  const client = await plainClient(rig.endpoint);
  const probe = await acceptedProbe(rig);
  const link = probe.link as unknown as { place: number; descriptor: number; destroy: (error: null) => void };
  const { place, descriptor } = link;
  const { ring } = transport;
  const enter = ring.enter.bind(ring);
  const seen: unknown[] = [];
  // Destroyed with a receive in flight; the kernel hears of its end with the next call.
  await inTurn(rig, () => {
    link.destroy(null);
    ring.enter = (timeoutMs) => {
      seen.push([transport.connectionAt(place) === probe.link, existsSync(`/proc/self/fd/${descriptor}`)]);
      ring.enter = enter;
      return enter(timeoutMs);
    };
  });
  t.same(seen, [[true, true]], 'both are there before that');
  await waitFor('the place to be free', () => transport.connectionAt(place) === null);
  t.notOk(existsSync(`/proc/self/fd/${descriptor}`));
  client.destroy();
});

/** Runs `action` in a turn, and resolves after the next one. */
async function inTurn(rig: Rig, action: () => void): Promise<void> {
  const { transport } = rig;
  await new Promise<void>((resolve) => {
    transport.timers.set(transport.now, () => {
      action();
      transport.timers.set(transport.now + 1, () => setImmediate(resolve));
    });
  });
}

const STORM = 5_000;

t.test(`of ${STORM} connections that are killed at any time none hears of another`, (t) => weather(t, start, STORM));

t.test('more connections have bytes at once than there are buffers', async (t) => {
  const rig = await start({ onConnection: echo });
  t.teardown(() => rig.stop());
  const clients = await Promise.all(Array.from({ length: 300 }, () => plainClient(rig.endpoint)));
  await acceptedProbe(rig, 299);
  for (let round = 0; round < 5; round++) {
    const texts = clients.map((_, index) => `client ${index} in round ${round}`);
    const replies = clients.map((client, index) => readBytes(client, (texts[index] as string).length));
    for (const [index, client] of clients.entries()) client.write(texts[index] as string);
    t.same((await Promise.all(replies)).map(String), texts);
  }
  for (const client of clients) client.destroy();
});

t.test('who has more bytes than there are buffers does not keep others from theirs', async (t) => {
  const rig = await start();
  t.teardown(() => rig.stop());
  const clients = await Promise.all(Array.from({ length: 4 }, () => plainClient(rig.endpoint)));
  await acceptedProbe(rig, 3);
  const [loud, quiet] = [rig.accepted.slice(0, 2), rig.accepted.slice(2)];
  const heard: number[] = [];
  // All is with the kernel before the next turn, as much as it takes.
  for (const client of clients.slice(0, 2)) client.write(Buffer.alloc(8 * MIB));
  for (const client of clients.slice(2)) client.write('hello');
  for (const probe of quiet) {
    probe.also.bytes = () => heard.push(loud.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0));
  }
  for (const probe of quiet) await probe.until(() => probe.receivedBytes === 5);
  t.comment(`they were heard after ${heard.join(' and ')} bytes`);
  // What all buffers hold is half a MiB: the first to come has them twice, at the most.
  t.ok(Math.max(...heard) <= 1.5 * MIB);
  for (const probe of loud) await probe.until(() => probe.receivedBytes === 8 * MIB);
  for (const client of clients) client.destroy();
});

t.test('what did not go wholly is known even when the ring of completions is full', async (t) => {
  const rig = await start();
  t.teardown(() => rig.stop());
  const { ring } = rig.transport as UringTransport;
  const client = await plainClient(rig.endpoint);
  const probe = await acceptedProbe(rig);
  client.pause();
  const value = new Seeded(13).bytes(16 * MIB);
  // Far more completions than the ring has room for come before those of the sends.
  const flood = () => {
    for (let count = 0; count < 5_000; count++) ring.push(OP_NOP, 0, 0, -1, 0, 0, 0, keyOf(0, CANCEL), 0);
  };
  let overflows = 0;
  for (let position = 0; position < value.length; position += MIB) {
    await inTurn(rig, () => {
      flood();
      if (ring.hasOverflowed()) overflows++;
      probe.send(value.subarray(position, position + MIB));
    });
  }
  t.ok(overflows > 0, `${overflows} times the ring was full`);
  t.ok(probe.link.output.unsentBytes > 0);
  const all = readBytes(client, value.length);
  client.resume();
  t.ok(value.equals(await all), 'every byte arrives once and in order');
  client.destroy();
});

t.test('a connection with many pieces to send sends them in order, also in parts', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const rig = await start();
  t.teardown(() => rig.stop());
  const client = await plainClient(rig.endpoint);
  const probe = await acceptedProbe(rig);
  const values = Array.from({ length: 60 }, () => random.bytes(random.size(600_000)));
  const all = Buffer.concat(values);
  client.pause();
  for (const value of values) outside(() => probe.send(value));
  const reply = readBytes(client, all.length);
  client.resume();
  t.ok(all.equals(await reply));
  await probe.until(() => probe.link.output.unsentBytes === 0);
  t.equal(probe.link.output.heldBytes, 0);
  client.destroy();
});
