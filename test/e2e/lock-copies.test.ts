/** Locks on some of the nodes of their pool (`copies`), through two proxies. */
import t from 'tap';
import { acquire, fieldsOf } from '../help/lock-client.js';
import { deployLocks } from '../help/lock-deployment.js';
import { connect, type RespClient } from '../help/resp-client.js';

/** So many names that all nodes have some of them. */
const NAMES = Array.from({ length: 20 }, (_, number) => `lock:${number}`);

t.test('three copies in a pool of five nodes', async (t) => {
  const { servers, proxies } = await deployLocks(t, { nodes: 5, copies: 3, ttlMaxMs: 60_000 });
  const [one, other] = [await connect(t, proxies[0].port), await connect(t, proxies[1].port)];
  const nodes = await Promise.all(servers.map(({ port }) => connect(t, port)));
  /** Which nodes have it, as `0,2,3`. */
  const placeOf = async (name: string) => {
    const found = await Promise.all(nodes.map((node) => node.command('EXISTS', name)));
    return found.flatMap((count, index) => (count === 1 ? [index] : [])).join();
  };
  const takeAll = async (client: RespClient) => {
    for (const name of NAMES) t.ok(await acquire(client, name, 'TTL', '50000', 'TOKEN', `of ${name}`), name);
  };
  const places = new Map<string, string>();

  t.test('each lock is on three of them, and both proxies know on which', async (t) => {
    await takeAll(one);
    for (const name of NAMES) {
      places.set(name, await placeOf(name));
      t.match(places.get(name), /^\d,\d,\d$/, name);
      t.equal(await acquire(other, name, 'TTL', '1000'), null, 'the other proxy finds it taken');
    }
    t.ok(new Set(places.values()).size > 1, 'not all are on the same');
    t.equal(new Set([...places.values()].join().split(',')).size, 5, 'every node has some');
  });

  t.test('LOCK.LIST is of all nodes, and LOCK commands of those of the lock', async (t) => {
    const list = (await other.command('LOCK.LIST')) as unknown[];
    t.same(list.map((facts) => `${fieldsOf(facts).get('name')}`).sort(), [...NAMES].sort());
    for (const facts of list) t.equal(`${fieldsOf(facts).get('state')}`, 'held');
    for (const name of NAMES) {
      const extended = fieldsOf(await other.command('LOCK.EXTEND', name, `of ${name}`, 'TTL', '55000'));
      t.ok(Number(extended.get('validity')) > 40_000, name);
    }
    t.equal(await other.command('LOCK.BREAK', NAMES[0] as string), 1);
    for (const name of NAMES.slice(1))
      t.equal((await other.raw('LOCK.RELEASE', name, `of ${name}`)).toString(), '+OK\r\n', name);
    t.same(await one.command('LOCK.LIST'), []);
  });

  t.test('LOCK.MACQUIRE takes locks wherever they are', async (t) => {
    const reply = fieldsOf(await one.command('LOCK.MACQUIRE', `${NAMES.length}`, ...NAMES, 'TTL', '50000'));
    t.equal((reply.get('fences') as unknown[]).length, NAMES.length);
    for (const name of NAMES) t.equal(await placeOf(name), places.get(name), name);
    for (const name of NAMES)
      t.equal((await other.raw('LOCK.RELEASE', name, `${reply.get('token')}`)).toString(), '+OK\r\n', name);
  });

  t.test('several keys of one drop-in command are to be on the same nodes', async (t) => {
    const [first] = NAMES as [string];
    const apart = NAMES.find((name) => places.get(name) !== places.get(first)) as string;
    const text = /^-CROSSSLOT The locks are not all on the same nodes: a \{hash tag\} keeps them together/;
    for (const words of [
      ['DEL', first, apart],
      ['EXISTS', first, apart],
      ['EVAL', 'return 1', '2', first, apart],
    ])
      t.match((await one.raw(...words)).toString(), text, `${words[0]}`);
    const tagged = NAMES.map((name) => `${name}{tag}`);
    for (const name of tagged) t.equal(await one.command('SET', name, 'x', 'NX', 'PX', '50000'), 'OK');
    t.equal(await other.command('EXISTS', ...tagged), tagged.length);
    t.equal(await other.command('DEL', ...tagged), tagged.length);
  });

  t.test('two nodes are away: locks of which a majority is there go on, the others say so', async (t) => {
    for (const server of servers.slice(0, 2)) await server.kill9();
    const kinds = new Set<string>();
    for (const name of NAMES) {
      const away = (places.get(name) as string).split(',').filter((index) => Number(index) < 2).length;
      const reply = (await one.raw('LOCK.ACQUIRE', name, 'TTL', '1000')).toString();
      kinds.add(`${away}`);
      if (away < 2) t.match(reply, /token/, name);
      else t.match(reply, /^-NOQUORUM/, name);
    }
    t.ok(kinds.has('1') && kinds.has('2'), [...kinds].join());
  });
});
