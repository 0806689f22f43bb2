/** SLOWLOG, LATENCY, MEMORY and others over all nodes, as one server answers: what nodes say, and what becomes of it. */
import t from 'tap';
import { bulk, type Client, command, Plane, repliesIn } from '../help/plane.js';

/** Bulk strings for text, frames as they are: an array's frame. */
function array(...elements: (string | number | Frame)[]): Frame {
  return new Frame(`*${elements.length}\r\n${elements.map(frameOf).join('')}`);
}

class Frame {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

function frameOf(element: string | number | Frame): string {
  if (element instanceof Frame) return element.text;
  return typeof element === 'number' ? `:${element}\r\n` : bulk(element);
}

/** Sends the command to a plane whose nodes answer so; returns what the client gets. */
function ask(words: readonly string[], ...replies: (string | Frame)[]): string {
  const plane = new Plane({ nodes: replies.length }).greetAll();
  const client = plane.client().send([...words]);
  plane.turn();
  for (const [node, reply] of replies.entries()) {
    const link = plane.only(node);
    if (link.commands().join() !== words.join(' ')) throw new Error('another question was asked');
    link.answer(reply instanceof Frame ? reply.text : reply);
  }
  const taken = client.take();
  t.equal(plane.usedBytes, 0, 'no memory is held');
  return taken;
}

/** An entry of the slow log. */
function slow(id: number, time: number, micros: number, words: string, name = ''): Frame {
  return array(id, time, micros, array(...words.split(' ')), '10.0.0.9:1', name);
}

t.test('what changes a setting at nodes is not sent twice, and may be half done', async (t) => {
  for (const words of [
    ['CONFIG', 'RESETSTAT'],
    ['CONFIG', 'REWRITE'],
    ['SLOWLOG', 'RESET'],
    ['MEMORY', 'PURGE'],
    ['SAVE'],
    ['BGSAVE'],
    ['BGREWRITEAOF'],
  ]) {
    const plane = new Plane({ nodes: 2 }).greetAll();
    const client = plane.client().send(words);
    plane.turn();
    for (const node of [0, 1]) t.equal(plane.only(node).take(), command(...words));
    plane.only(0).answer(words[0]?.startsWith('BG') ? '+started\r\n' : '+OK\r\n');
    plane.only(1).connection.end();
    plane.pass(1_000);
    plane.only(1).greet();
    plane.turn();
    t.equal(plane.only(1).take(), '', words.join(' '));
    t.match(client.take(), /^-UNKNOWN node node-1/, words.join(' '));
  }
});

t.test('SLOWLOG GET is newest first, each entry with a number of its own and the name of its node', async (t) => {
  const nodes = [
    array(slow(7, 100, 50, 'GET a'), slow(6, 98, 40, 'GET b')),
    array(slow(7, 99, 30, 'GET c', 'somebody')),
  ];
  t.equal(
    ask(['SLOWLOG', 'GET'], ...nodes),
    array(
      slow(14, 100, 50, 'GET a', 'node-0'),
      slow(15, 99, 30, 'GET c', 'somebody'),
      slow(12, 98, 40, 'GET b', 'node-0'),
    ).text,
  );
});

t.test('SLOWLOG GET shows as many entries as it is asked for: ten, a number, or all', async (t) => {
  const node = array(...Array.from({ length: 8 }, (_, n) => slow(20 - n, 200 - n, 1, `GET ${n}`)));
  const shown = (...words: string[]) =>
    Number(
      ask(['SLOWLOG', 'GET', ...words], node, node)
        .slice(1)
        .split('\r\n')[0],
    );
  t.same([shown(), shown('3'), shown('0'), shown('-1')], [10, 3, 0, 16]);
});

t.test(
  'SLOWLOG GET shows what went to all nodes once, between what came before and after it, with its longest time',
  async (t) => {
    const nodes = [
      array(slow(3, 50, 9, 'GET after'), slow(2, 50, 100, 'FLUSHALL'), slow(1, 50, 9, 'GET before')),
      array(slow(9, 49, 300, 'FLUSHALL'), slow(8, 49, 9, 'GET early')),
    ];
    t.equal(
      ask(['SLOWLOG', 'GET'], ...nodes),
      array(
        slow(6, 50, 9, 'GET after', 'node-0'),
        slow(4, 50, 300, 'FLUSHALL', 'node-0'),
        slow(2, 50, 9, 'GET before', 'node-0'),
        slow(17, 49, 9, 'GET early', 'node-1'),
      ).text,
    );
  },
);

t.test('SLOWLOG GET ends where nodes disagree about the order of what went to all', async (t) => {
  const nodes = [
    array(slow(2, 50, 1, 'FLUSHALL'), slow(1, 50, 1, 'SCRIPT FLUSH')),
    array(slow(2, 50, 1, 'SCRIPT FLUSH'), slow(1, 50, 1, 'FLUSHALL')),
  ];
  t.match(ask(['SLOWLOG', 'GET'], ...nodes), /^\*2\r\n/);
});

t.test('SLOWLOG GET: what all nodes say is wrong with the count is said once', async (t) => {
  const error = '-ERR count should be greater than or equal to -1\r\n';
  t.equal(ask(['SLOWLOG', 'GET', '-2'], error, error), error);
});

t.test('LATENCY HISTORY has one sample a second, the worst, oldest first', async (t) => {
  const nodes = [array(array(10, 5), array(12, 7)), array(array(11, 30), array(12, 9))];
  t.equal(ask(['LATENCY', 'HISTORY', 'command'], ...nodes), array(array(10, 5), array(11, 30), array(12, 9)).text);
  t.equal(ask(['LATENCY', 'HISTORY', 'x'], array(), array()), '*0\r\n');
});

t.test('LATENCY LATEST has each event once: when it was last, and the worst of all', async (t) => {
  const nodes = [array(array('fork', 10, 5, 90), array('command', 10, 4, 4)), array(array('fork', 12, 7, 20))];
  t.equal(ask(['LATENCY', 'LATEST'], ...nodes), array(array('fork', 12, 7, 90), array('command', 10, 4, 4)).text);
});

t.test('LATENCY RESET says how many events were forgotten, however many nodes had them', async (t) => {
  const reset = (...names: string[]) => {
    const plane = new Plane({ nodes: 2 }).greetAll();
    const client = plane.client().send(['LATENCY', 'RESET', ...names]);
    plane.turn();
    for (const [node, events] of [['fork', 'command'], ['fork']].entries()) {
      const link = plane.only(node);
      t.same(link.commands(), ['LATENCY LATEST', ['LATENCY RESET', ...names].join(' ')]);
      link.answer(array(...events.map((event) => array(event, 1, 1, 1))).text, `:${events.length}\r\n`);
    }
    return client.take();
  };
  t.same([reset(), reset('FORK'), reset('command', 'x')], [':2\r\n', ':1\r\n', ':1\r\n']);
});

t.test('LATENCY GRAPH and DOCTOR show the text of each node under its name', async (t) => {
  const none = "-ERR No samples available for event 'fork'\r\n";
  t.equal(ask(['LATENCY', 'GRAPH', 'fork'], none, none), none, 'all say so');
  t.equal(
    ask(['LATENCY', 'GRAPH', 'fork'], none, bulk('fork - high\n_#\n\n'), bulk('fork - low\n')),
    bulk('# Node node-1\nfork - high\n_#\n\n# Node node-2\nfork - low\n'),
  );
  t.equal(ask(['LATENCY', 'DOCTOR'], bulk('Dave'), bulk('Dave')), bulk('Dave'), 'once, where all say the same');
});

/** A histogram, as pairs of a bound and calls. */
function histogram(calls: number, ...pairs: number[]): Frame {
  return array('calls', calls, 'histogram_usec', array(...pairs));
}

t.test(
  'LATENCY HISTOGRAM adds up the calls of commands for one shard, and counts what went to all nodes once',
  async (t) => {
    const nodes = [
      array('get', histogram(5, 1, 2, 4, 5), 'flushall', histogram(2, 8, 2)),
      array('get', histogram(3, 2, 1, 8, 3), 'flushall', histogram(1, 4, 1)),
    ];
    t.equal(
      ask(['LATENCY', 'HISTOGRAM'], ...nodes),
      array('get', histogram(8, 1, 2, 2, 3, 4, 6, 8, 8), 'flushall', histogram(2, 8, 2)).text,
    );
  },
);

t.test('LATENCY HISTOGRAM shows what the proxy answers itself by its own times', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['PING'], ['CLIENT', 'ID'], ['CLIENT', 'ID']);
  plane.turn();
  client.take();
  const histograms = (...words: string[]) => {
    client.send(['LATENCY', 'HISTOGRAM', ...words]);
    plane.turn();
    plane.only(0).take();
    plane.only(0).answer(array('ping', histogram(900, 1, 900), 'client|id', histogram(3, 1, 3)).text);
    return client.take();
  };
  t.match(
    histograms(),
    /^\*4\r\n\$9\r\nclient\|id\r\n\*4\r\n\$5\r\ncalls\r\n:2\r\n.*\$4\r\nping\r\n\*4\r\n\$5\r\ncalls\r\n:1\r\n/s,
  );
  t.match(histograms('CLIENT'), /^\*2\r\n\$9\r\nclient\|id\r\n/, 'a container stands for its subcommands');
  t.match(histograms('ping', 'client|id'), /^\*4\r\n\$4\r\nping\r\n/, 'in the order in which they are asked for');
  t.equal(histograms('get'), '*0\r\n');
  client.send(['CONFIG', 'RESETSTAT']);
  plane.turn();
  t.same(plane.only(0).commands(), ['CONFIG RESETSTAT']);
  plane.only(0).answer('+OK\r\n');
  t.equal(client.take(), '+OK\r\n');
  t.equal(histograms(), '*0\r\n', 'CONFIG RESETSTAT has them begin anew');
});

t.test('CONFIG RESETSTAT and SCRIPT FLUSH are for the proxy too where their client wants no reply', async (t) => {
  for (const choice of ['OFF', 'SKIP']) {
    const plane = new Plane({ nodes: 2 }).greetAll();
    const client = plane.client().send(['SCRIPT', 'LOAD', 'return 1'], ['ECHO', 'x']);
    plane.turn();
    const sha = 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db';
    const answerAll = (reply: string) => {
      plane.turn();
      for (const node of [0, 1]) {
        plane.only(node).take();
        plane.only(node).answer(reply);
      }
      plane.turn();
    };
    answerAll(bulk(sha));
    t.equal(client.take(), bulk(sha) + bulk('x'));

    client.send(['CLIENT', 'REPLY', choice], ['SCRIPT', 'FLUSH']);
    answerAll('-BUSY a script runs\r\n');
    client.send(['CLIENT', 'REPLY', 'ON'], ['EVALSHA', sha, '1', plane.key(0)]);
    plane.turn();
    t.match(plane.only(0).take(), /return 1/, 'the nodes have not carried it out: it is known still');
    plane.only(0).answer(':1\r\n');
    t.equal(client.take(), '+OK\r\n:1\r\n');

    client.send(['CLIENT', 'REPLY', choice], ['SCRIPT', 'FLUSH']);
    answerAll('+OK\r\n');
    client.send(['CLIENT', 'REPLY', choice], ['CONFIG', 'RESETSTAT']);
    answerAll('+OK\r\n');
    client.send(['CLIENT', 'REPLY', 'ON'], ['LATENCY', 'HISTOGRAM', 'echo'], ['EVALSHA', sha, '1', plane.key(0)]);
    plane.turn();
    plane.only(1).take();
    plane.only(1).answer('*0\r\n');
    plane.only(0).take();
    plane.only(0).answer('*0\r\n', '-NOSCRIPT No matching script. Please use EVAL.\r\n');
    plane.turn();
    t.equal(plane.only(0).take(), '', 'nothing is known that could be sent again');
    t.equal(client.take(), '+OK\r\n*0\r\n-NOSCRIPT No matching script. Please use EVAL.\r\n');
  }
});

t.test('MEMORY STATS adds up quantities, also of databases, and works ratios out again', async (t) => {
  const stats = (total: number, keys: number, database: string) =>
    array(
      ...['peak.allocated', total * 2, 'total.allocated', total, 'startup.allocated', 100],
      ...[database, array('overhead.hashtable.main', 7, 'overhead.hashtable.expires', 1)],
      ...['keys.count', keys, 'keys.bytes-per-key', 1, 'dataset.bytes', 50, 'dataset.percentage', '1'],
      ...['peak.percentage', '50', 'fragmentation', '3.5', 'fragmentation.bytes', total],
    );
  t.equal(
    ask(['MEMORY', 'STATS'], stats(300, 3, 'db.0'), stats(500, 1, 'db.0'), stats(200, 2, 'db.9')),
    array(
      ...['peak.allocated', 2000, 'total.allocated', 1000, 'startup.allocated', 300],
      ...['db.9', array('overhead.hashtable.main', 7, 'overhead.hashtable.expires', 1)],
      ...['db.0', array('overhead.hashtable.main', 14, 'overhead.hashtable.expires', 2)],
      ...['keys.count', 6, 'keys.bytes-per-key', 116, 'dataset.bytes', 150, 'dataset.percentage', String(15000 / 700)],
      ...['peak.percentage', '50', 'fragmentation', '2', 'fragmentation.bytes', 1000],
    ).text,
  );
});

t.test('ROLE has the replicas of all nodes; a node that is a replica has the word', async (t) => {
  const master = (offset: number, port: string) => array('master', offset, array(array('10.0.0.7', port, '1')));
  t.equal(
    ask(['ROLE'], master(5, '1'), master(7, '2')),
    array('master', 12, array(array('10.0.0.7', '1', '1'), array('10.0.0.7', '2', '1'))).text,
  );
  const replica = array('slave', '10.0.0.8', 7000, 'connected', 5);
  t.equal(ask(['ROLE'], master(5, '1'), replica), replica.text);
});

t.test('LASTSAVE, SAVE and BGSAVE: what all nodes have done', async (t) => {
  t.equal(ask(['LASTSAVE'], ':30\r\n', ':10\r\n', ':20\r\n'), ':10\r\n');
  t.equal(ask(['SAVE'], '+OK\r\n', '+OK\r\n'), '+OK\r\n');
  const [started, later] = ['+Background saving started\r\n', '+Background saving scheduled\r\n'];
  t.equal(ask(['BGSAVE', 'SCHEDULE'], started, started), started);
  t.equal(ask(['BGSAVE', 'SCHEDULE'], started, later), later);
  t.match(
    ask(['BGSAVE'], started, '-ERR Background save already in progress\r\n'),
    /^-ERR Background save already in progress \(from node node-1; 1 of 2 shards have carried out their part of it\)\r\n$/,
  );
});

t.test('MODULE LIST shows what all nodes have, in the lowest version', async (t) => {
  const module = (name: string, version: number) =>
    array('name', name, 'ver', version, 'path', `/lib/${name}.so`, 'args', array());
  t.equal(
    ask(['MODULE', 'LIST'], array(module('a', 3), module('b', 1)), array(module('a', 2))),
    array(module('a', 2)).text,
  );
});

/** FUNCTION STATS of a plane whose nodes answer so. They are asked by connections of their own, since a function may run on the others. */
function functionStats(...replies: (Frame | 'down')[]): string {
  const plane = new Plane({ nodes: replies.length }).greetAll();
  const client: Client = plane.client().send(['FUNCTION', 'STATS']);
  plane.turn();
  for (const [node, reply] of replies.entries()) {
    t.same(plane.links(node).length, 2, 'a connection of its own');
    const link = plane.link(node);
    if (reply === 'down') {
      link?.connection.break(new Error('connection refused'));
      continue;
    }
    link?.greet();
    plane.turn();
    t.same(link?.commands(), ['FUNCTION STATS']);
    link?.answer(reply.text);
  }
  return client.take();
}

t.test('FUNCTION STATS shows the function that runs on any node also while another one is down', async (t) => {
  const engines = array('LUA', array('libraries_count', 1, 'functions_count', 1));
  const running = array('name', 'f', 'command', array('FCALL', 'f', '0'), 'duration_ms', 9);
  const busy = array('running_script', running, 'engines', engines);
  const idle = array('running_script', new Frame('$-1\r\n'), 'engines', engines);
  t.equal(functionStats('down', idle, busy), busy.text);
  t.equal(functionStats(busy, new Frame('-BUSY Redis is busy running a script.\r\n')), busy.text);
  t.match(functionStats(idle, 'down'), /^-NODEDOWN node node-1 /, 'one may run there');
});

t.test('a node whose FUNCTION STATS lacks what Redis says is told of, and ends no worker', async (t) => {
  const engines = array('LUA', array('libraries_count', 1, 'functions_count', 1));
  const nothing = new Frame('$-1\r\n');
  const idle = array('running_script', nothing, 'engines', engines);
  for (const odd of [
    array('engines', engines),
    array('running_script', nothing),
    array('engines', nothing, 'running_script', nothing),
  ])
    t.match(functionStats(idle, odd), /^-ERR node node-1 answered the unexpected: an array, /);
});

t.test('FUNCTION STATS shows the function that runs on any node, and the libraries once', async (t) => {
  const engines = (count: number) => array('LUA', array('libraries_count', count, 'functions_count', count * 2));
  const running = array('name', 'f', 'command', array('FCALL', 'f', '0'), 'duration_ms', 9);
  t.equal(
    functionStats(
      array('running_script', new Frame('$-1\r\n'), 'engines', engines(2)),
      array('running_script', running, 'engines', engines(1)),
    ),
    array('running_script', running, 'engines', engines(2)).text,
  );
  t.equal(
    functionStats(array('running_script', new Frame('$-1\r\n'), 'engines', engines(0))),
    array('running_script', new Frame('$-1\r\n'), 'engines', engines(0)).text,
  );
});

t.test(
  'what is sent to all nodes and comes back from some names the nodes that it did not come back from',
  async (t) => {
    const plane = new Plane({ nodes: 3 }).greetAll();
    const client = plane.client().send(['SLOWLOG', 'GET'], ['LATENCY', 'RESET'], ['PING']);
    plane.turn();
    for (const node of [0, 1, 2]) plane.only(node).take();
    for (const node of [0, 2]) plane.only(node).answer('*0\r\n', '*0\r\n', ':0\r\n');
    plane.only(1).connection.break(new Error('gone'));
    plane.turn();
    plane.link(1)?.connection.break(new Error('connection refused'));
    plane.turn();
    const [slowlog, reset, pong] = repliesIn(client.take());
    t.match(slowlog, /^-NODEDOWN node node-1 /);
    t.match(reset, /^-UNKNOWN node node-1 /, 'nobody says that it had no effect');
    t.equal(pong, '+PONG\r\n');
  },
);

t.test(
  'SWAPDB goes to all nodes; one that fails in the middle is named, and one that is down has it refused',
  async (t) => {
    t.equal(ask(['SWAPDB', '0', '1'], '+OK\r\n', '+OK\r\n'), '+OK\r\n');
    const text = '-ERR invalid first DB index\r\n';
    t.equal(ask(['SWAPDB', 'x', '1'], text, text), text);
    const plane = new Plane({ nodes: 2 }).greetAll();
    const client = plane.client();
    const swap = (...databases: string[]) => {
      client.send(['SWAPDB', ...databases]);
      plane.turn();
      return client.take();
    };
    t.equal(swap('0', '16'), '-ERR DB index is out of range\r\n');
    t.same(plane.only(1).commands(), [], 'a node that has more databases is not asked');
    t.equal(swap('0', '1'), '');
    plane.only(0).take();
    plane.only(0).answer('+OK\r\n');
    plane.only(1).take();
    plane.only(1).connection.break(new Error('gone'));
    plane.turn();
    t.match(client.take(), /^-UNKNOWN node node-1 /);
    t.match(swap('0', '1'), /^-NODEDOWN node node-1 .*: it is not connected yet; no node has swapped its databases/);
    t.same(plane.only(0).commands(), []);
  },
);

t.test('an error names all nodes that failed', async (t) => {
  const plane = new Plane({ nodes: 12 }).greetAll();
  const client = plane.client().send(['KEYS', '*']);
  plane.turn();
  const fail = (nodes: readonly number[], text: string) => {
    for (let node = 0; node < 12; node++) {
      plane.only(node).take();
      plane.only(node).answer(nodes.includes(node) ? `-ERR ${text}\r\n` : '*0\r\n');
    }
    return client.take();
  };
  t.equal(fail([3], 'no'), '-ERR no (from node node-3; 11 other shards were asked too)\r\n');
  client.send(['KEYS', '*']);
  plane.turn();
  t.match(fail([3, 5, 7], 'no'), / \(failed too: node-5, node-7\)\r\n$/);
  client.send(['KEYS', '*']);
  plane.turn();
  const all = [...Array(11).keys()];
  t.match(fail(all, 'no'), /\(failed too: node-1, node-2, .*, node-8 and 2 more\)\r\n$/);
  client.send(['KEYS', '*']);
  plane.turn();
  t.equal(fail([...all, 11], 'no'), '-ERR no\r\n', 'what all say alike is said once');
});

t.test('what is no list at all is told as that', async (t) => {
  for (const words of [['ROLE'], ['SLOWLOG', 'GET'], ['LATENCY', 'LATEST'], ['MEMORY', 'STATS'], ['MODULE', 'LIST']])
    t.equal(
      ask(words, '*-1\r\n', '*-1\r\n'),
      '-ERR node node-0 answered the unexpected: an array, 5 bytes in all (failed too: node-1)\r\n',
      words.join(' '),
    );
});
