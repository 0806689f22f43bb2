import { fstatSync } from 'node:fs';
import t from 'tap';
import { createDescriptors, Descriptors } from '../../src/transport/descriptors.js';
import { buryWorker, createHandover, Handover, SessionCounts } from '../../src/transport/handover.js';
import { openWake, system } from '../../src/transport/system.js';
import { Seeded } from './seeded.js';

/** The door of all connections. */
const DOOR = 7;

/** Several workers' views of the same tables, in one thread. Eventfds stand for connections: any descriptor does. */
class Office {
  readonly descriptors: Descriptors;
  readonly handover: Handover;
  private readonly wakes: number[] = [];

  constructor(workers: number) {
    for (let worker = 0; worker < workers; worker++) this.wakes.push(openWake());
    this.descriptors = new Descriptors(createDescriptors(workers));
    this.handover = new Handover(createHandover(workers), this.descriptors, this.wakes);
    for (let worker = 0; worker < workers; worker++) this.handover.join(worker);
    for (let worker = 0; worker < workers; worker++) this.receive(worker);
  }

  receive(worker: number): number[] {
    const adopted: number[] = [];
    this.handover.receive(worker, (descriptor, door) => {
      if (door !== DOOR) throw new Error(`it came by door ${door}`);
      adopted.push(descriptor);
    });
    return adopted;
  }

  close(descriptor: number, worker: number): void {
    this.descriptors.clear(descriptor);
    system().close(descriptor);
    this.handover.add(worker, -1);
  }

  end(): void {
    for (let worker = 0; worker < this.descriptors.workers; worker++) {
      buryWorker(worker, this.descriptors, this.handover);
      this.handover.closeWaiting(worker);
    }
    for (const wake of this.wakes) system().close(wake);
  }
}

function isOpen(descriptor: number): boolean {
  try {
    fstatSync(descriptor);
    return true;
  } catch {
    return false;
  }
}

t.test('a burst that one worker accepts spreads evenly before the others have woken', async (t) => {
  const office = new Office(4);
  const kept: number[] = [];
  for (let count = 0; count < 50; count++) {
    const descriptor = openWake();
    if (office.handover.assign(descriptor, 2, DOOR) === 'kept') kept.push(descriptor);
  }
  t.same([0, 1, 2, 3].map((worker) => office.handover.of(worker)).toSorted(), [12, 12, 13, 13]);
  t.equal(office.handover.total(), 50);
  t.equal(kept.length, office.handover.of(2));
  for (const worker of [0, 1, 3]) t.equal(office.receive(worker).length, office.handover.of(worker));
  t.same(office.receive(0), [], 'each is adopted once');
  office.end();
  t.equal(office.handover.total(), 0);
});

t.test('a worker that has left is sent nothing, and one alone keeps everything', async (t) => {
  const office = new Office(2);
  office.handover.leave(1);
  for (let count = 0; count < 3; count++) t.equal(office.handover.assign(openWake(), 0, DOOR), 'kept');
  office.end();
});

t.test('when a ring is full the sender keeps the connection', async (t) => {
  const office = new Office(2);
  // The receiver has far fewer sessions, but does not come to look.
  office.handover.add(0, 5_000);
  const places = { kept: 0, sent: 0, refused: 0 };
  const first = openWake();
  for (let count = 0; count < 1_100; count++) places[office.handover.assign(first + count, 0, DOOR)]++;
  t.same(places, { kept: 76, sent: 1_024, refused: 0 });
  t.equal(office.receive(1).length, 1_024);
  t.equal(office.handover.assign(first, 0, DOOR), 'sent', 'there is room again');
  for (let count = 0; count < 1_100; count++) office.descriptors.clear(first + count);
  office.handover.add(0, -5_076);
  office.handover.add(1, -1_025);
  system().close(first);
  office.end();
});

t.test('a descriptor beyond the table is refused', async (t) => {
  const office = new Office(2);
  t.equal(office.handover.assign(1 << 20, 0, DOOR), 'refused');
  office.handover.add(0, 10);
  t.equal(office.handover.assign(1 << 20, 0, DOOR), 'refused', 'whoever it is for');
  t.notOk(office.descriptors.note(1 << 20, 0));
  office.handover.add(0, -10);
  t.equal(office.handover.total(), 0);
  office.end();
});

t.test('what waits for a dead worker is adopted by its successor', async (t) => {
  const office = new Office(2);
  office.handover.add(0, 3);
  const sent = [openWake(), openWake(), openWake()];
  for (const descriptor of sent) t.equal(office.handover.assign(descriptor, 0, DOOR), 'sent');
  const closed = buryWorker(1, office.descriptors, office.handover);
  t.same(closed, { descriptors: 0, sessions: 0 }, 'they are not its own yet');
  t.equal(office.handover.of(1), 3);
  office.handover.join(1);
  t.same(office.receive(1), sent);
  office.handover.add(0, -3);
  office.end();
});

t.test('what waits for a dead worker without successor is closed', async (t) => {
  const office = new Office(2);
  office.handover.add(0, 1);
  const descriptor = openWake();
  office.handover.assign(descriptor, 0, DOOR);
  buryWorker(1, office.descriptors, office.handover);
  office.handover.closeWaiting(1);
  t.notOk(isOpen(descriptor));
  t.equal(office.handover.of(1), 0);
  office.handover.add(0, -1);
  office.end();
});

t.test('a connection whose sender died before it was in the ring is found in the table', async (t) => {
  const office = new Office(2);
  const descriptor = openWake();
  office.descriptors.noteHandover(descriptor, 1, DOOR);
  office.handover.add(1, 1);
  t.same(office.receive(1), [], 'no ring tells of it');
  buryWorker(0, office.descriptors, office.handover);
  t.same(office.receive(1), [descriptor]);
  office.end();
});

t.test('a dead worker leaves nothing open but what is not its own', async (t) => {
  const office = new Office(2);
  const own = [openWake(), openWake()];
  const session = openWake();
  const foreign = openWake();
  for (const descriptor of own) office.descriptors.note(descriptor, 1);
  office.descriptors.note(foreign, 0);
  office.handover.leave(0);
  t.equal(office.handover.assign(session, 1, DOOR), 'kept');
  t.same(buryWorker(1, office.descriptors, office.handover), { descriptors: 3, sessions: 1 });
  t.same([...own, session].map(isOpen), [false, false, false]);
  t.ok(isOpen(foreign));
  t.equal(office.handover.total(), 0);
  office.end();
});

t.test('with the node driver a dead worker takes its sessions with it', async (t) => {
  const descriptors = new Descriptors(createDescriptors(2));
  const memory = createHandover(2);
  const handover = new Handover(memory, descriptors, []);
  new SessionCounts(memory).add(1, 7);
  buryWorker(1, descriptors, handover);
  t.equal(handover.total(), 0);
});

t.test('whoever dies when, every connection is served by one worker or closed, and counted right', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const office = new Office(3);
  // The twin: which worker serves which connection.
  const serving = new Map<number, number>();
  const onTheWay = new Set<number>();
  const adopt = (worker: number) => {
    for (const descriptor of office.receive(worker)) {
      if (serving.has(descriptor)) t.fail(`${descriptor} is served twice`);
      serving.set(descriptor, worker);
      onTheWay.delete(descriptor);
    }
  };
  for (let step = 0; step < 20_000; step++) {
    const worker = random.below(3);
    const kind = random.below(100);
    if (kind < 40 && serving.size + onTheWay.size < 300) {
      if (!office.handover.joined(worker)) continue;
      const descriptor = openWake();
      if (office.handover.assign(descriptor, worker, DOOR) === 'kept') serving.set(descriptor, worker);
      else onTheWay.add(descriptor);
    } else if (kind < 70) {
      if (office.handover.joined(worker)) adopt(worker);
    } else if (kind < 95) {
      const descriptor = random.pick([...serving.keys(), -1]);
      if (descriptor < 0) continue;
      office.close(descriptor, serving.get(descriptor) as number);
      serving.delete(descriptor);
    } else if (kind < 97) {
      const { sessions } = buryWorker(worker, office.descriptors, office.handover);
      const dead = [...serving].filter(([, owner]) => owner === worker);
      if (sessions !== dead.length) t.fail(`${sessions} sessions were closed, not ${dead.length}`);
      for (const [descriptor] of dead) serving.delete(descriptor);
    } else {
      office.handover.join(worker);
    }
    if (office.handover.total() !== serving.size + onTheWay.size) return t.fail('the count is wrong');
  }
  for (let worker = 0; worker < 3; worker++) {
    office.handover.join(worker);
    adopt(worker);
  }
  t.equal(onTheWay.size, 0, 'nobody is left on the way');
  for (const [descriptor, worker] of serving)
    if (!office.descriptors.ownedBy(worker).includes(descriptor)) t.fail('lost');
  office.end();
  t.equal(office.handover.total(), 0);
  return undefined;
});

t.test('tables take at least one worker and not too many', async (t) => {
  t.throws(() => createDescriptors(0), /workers/);
  t.throws(() => createHandover(257), /workers/);
});
