/** INFO through the proxy: what is asked of nodes, and the section about the proxy itself. */
import t from 'tap';
import { bulk, type Client, Plane, PROCESS } from '../help/plane.js';

const SERVER = '# Server\r\nredis_version:7.0.15\r\nprocess_id:1\r\nrun_id:abc\r\ntcp_port:7000\r\n';

/** The text of a bulk or verbatim string. */
function textOf(reply: string): string {
  const [, length, text] = /^[$=](\d+)\r\n(.*)\r\n$/s.exec(reply) ?? [];
  if (text === undefined || text.length !== Number(length)) throw new Error(`no text: ${JSON.stringify(reply)}`);
  return text.replace(/^txt:/, '');
}

function answer(plane: Plane, text: string): void {
  for (let node = 0; node < plane.topology.nodes.length; node++) {
    const link = plane.only(node);
    link.take();
    link.answer(bulk(text));
  }
}

/** Asks INFO; the nodes answer with SERVER. */
function info(plane: Plane, client: Client, ...sections: string[]): string {
  client.send(['INFO', ...sections]);
  plane.turn();
  answer(plane, SERVER);
  return textOf(client.take());
}

t.test('the section about the proxy stands behind the others when all are asked for', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client();
  for (const sections of [[], ['all'], ['default'], ['EVERYTHING'], ['server', 'Ringleader']]) {
    const text = info(plane, client, ...sections);
    t.match(text, /^# Server\r\nredis_version:7\.0\.15\r\n/);
    t.match(text, /tcp_port:6380\r\n\r\n# Ringleader\r\nringleader_version:1\.2\.3\r\n/, sections.join(' '));
  }
  for (const sections of [['server'], ['nonsense'], ['server', 'clients']]) {
    t.notMatch(info(plane, client, ...sections), /Ringleader/, sections.join(' '));
  }
});

t.test('INFO ringleader alone asks no node', async (t) => {
  const plane = new Plane({ nodes: 2 });
  const client = plane.client();
  for (const words of [['ringleader'], ['RingLeader'], ['ringleader', 'ringleader']]) {
    const text = textOf(client.send(['INFO', ...words]).take());
    t.match(text, /^# Ringleader\r\n/);
    t.match(text, /ringleader_nodes_up:0\r\nringleader_nodes_down:2\r\n/, 'also when none is up');
  }
  plane.greetAll();
  for (const node of [0, 1]) t.equal(plane.only(node).take(), '');
  client.send(['HELLO', '3']).take();
  t.match(client.send(['INFO', 'ringleader']).take(), /^=\d+\r\ntxt:# Ringleader\r\n/);
});

function fieldsOf(text: string): Map<string, string> {
  const lines = text.split('\r\n').filter((line) => line.includes(':'));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}

t.test('it says what the process is, what its nodes are, and what it has counted', async (t) => {
  const plane = new Plane({ nodes: 3 });
  for (const node of [0, 2]) plane.link(node)?.greet();
  plane.link(1)?.connection.break(new Error('connection refused'));
  plane.turn();
  const client = plane.client();
  client.send(['GET', plane.key(1)], ['GET', plane.key(0)]);
  plane.turn();
  const fields = fieldsOf(textOf(plane.client().send(['INFO', 'ringleader']).take()));
  const expected = {
    ringleader_workers: '1',
    ringleader_transport: 'node',
    ringleader_topology_version: '1',
    ringleader_nodes: '3',
    ringleader_nodes_up: '2',
    ringleader_nodes_down: '1',
    ringleader_node0: 'name=node-0,address=10.0.0.1:7000,state=up,version=7.0.15,queued=1',
    ringleader_node1: 'name=node-1,address=10.0.0.1:7001,state=down,version=,queued=0',
    ringleader_commands: '3',
    ringleader_sessions_open: '2',
    ringleader_commands_node_down: '1',
    ringleader_reads_retried: '0',
    ringleader_writes_unknown: '0',
  };
  t.same(Object.fromEntries(Object.keys(expected).map((name) => [name, fields.get(name)])), expected);
  const uptime = Math.floor((Date.now() - PROCESS.startedAtMs) / 1000);
  const shown = Number(fields.get('ringleader_uptime_in_seconds'));
  t.ok(shown >= 90 && shown <= uptime, `it has run for ${shown} seconds`);
  t.ok([...fields.keys()].every((name) => name.startsWith('ringleader_')));
});

t.test('the process and the clients that INFO shows are those of the proxy', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const [client] = [plane.client(), plane.client()];
  client.send(['INFO', 'server', 'clients', 'stats', 'cluster']);
  plane.turn();
  answer(
    plane,
    `${SERVER}\r\n# Clients\r\nconnected_clients:9\r\nmaxclients:1\r\n\r\n` +
      '# Stats\r\ntotal_connections_received:99\r\nrejected_connections:9\r\n\r\n# Cluster\r\ncluster_enabled:1\r\n',
  );
  const expected = {
    process_id: String(PROCESS.id),
    run_id: PROCESS.runId,
    tcp_port: '6380',
    connected_clients: '2',
    maxclients: '10000',
    total_connections_received: '2',
    rejected_connections: '0',
    cluster_enabled: '1',
  };
  const fields = fieldsOf(textOf(client.take()));
  t.same(Object.fromEntries(Object.keys(expected).map((name) => [name, fields.get(name)])), expected);
});

t.test('in RESP3 the reply is verbatim, and its length is in bytes', async (t) => {
  const text = '# Server\r\nconfig_file:/etc/r\xc3\xa9dis.conf\r\n';
  const verbatim = `=${text.length + 4}\r\ntxt:${text}\r\n`;
  for (const [protocol, reply] of [
    [2, bulk(text)],
    [3, verbatim],
  ] as const) {
    const plane = new Plane({ nodes: 2 }).greetAll();
    const client = plane.client().send(['HELLO', `${protocol}`]);
    client.take();
    client.send(['INFO', 'server']);
    for (const node of [0, 1]) {
      const link = plane.links(node, protocol).at(-1);
      if (protocol === 3) link?.greet();
      link?.take();
      link?.answer(reply);
    }
    t.equal(client.take(), reply);
    t.equal(plane.usedBytes, 0);
  }
});

t.test('a section that no node knows is empty, as in Redis', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['INFO', 'nonsense']);
  plane.turn();
  answer(plane, '');
  t.equal(client.take(), bulk(''));
});

t.test('INFO is answered without the nodes that do not, and names them whatever was asked for', async (t) => {
  const plane = new Plane({ nodes: 4 });
  for (const node of [0, 1, 2]) plane.link(node)?.greet();
  plane.link(3)?.connection.break(new Error('connection refused'));
  plane.turn();
  const client = plane.client().send(['INFO', 'keyspace']);
  plane.turn();
  for (const [node, reply] of [
    '-NOPERM no\r\n',
    bulk('# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0\r\n'),
    '+OK\r\n',
  ].entries()) {
    plane.only(node).take();
    plane.only(node).answer(reply);
  }
  const text = textOf(client.take());
  t.match(text, /^# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0\r\n\r\n# Ringleader\r\n/);
  t.match(text, /ringleader_nodes_missing:node-0,node-2,node-3\r\n/);
  t.equal(plane.usedBytes, 0);
});

t.test('INFO that no node answers is an error', async (t) => {
  const plane = new Plane({ nodes: 2 });
  for (const node of [0, 1]) plane.link(node)?.connection.break(new Error('connection refused'));
  plane.turn();
  t.match(plane.client().send(['INFO']).take(), /^-NODEDOWN node node-0 /);
});
