/** ACCEPT in the watch form, where something comes between its check and its end; and what a node that cannot does. */
import { setTimeout as sleepMs } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import type { Commands } from '../../src/replica/commands.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { encodeStep } from '../../src/replica/node-step.js';
import { KEY_SCRIPTS } from '../../src/replica/scripts.js';
import type { AcceptAnswer, Answer, Step } from '../../src/replica/step.js';
import { skipValue } from '../../src/resp/frame.js';
import { encodeCommand } from '../../src/resp/reply.js';
import { memberRecord, type ReplicaNode, startReplicaNode } from '../help/replica-node.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const KEY = Buffer.from('k');
const FIRST = ballot(1);
const SECOND = ballot(2);

type Accept = Extract<Step<Commands, never>, { kind: 'accept' }>;

/** In the watch form, since BITFIELD's integers may be wide. */
const WATCHED: readonly string[] = ['BITFIELD k INCRBY u8 0 1'];

t.test('a value that expires between the check and EXEC is not written to', async (t) => {
  const [, node, record] = await startMember(t);
  const expireAt = Date.now() + 200;
  const set = acceptOf(FIRST, NEVER, [`SET k a PXAT ${expireAt}`], { setsExpiry: expireAt });
  t.match(await node.perform(set, KEY, record), { kind: 'ok', live: true, expireAt });
  const step = acceptOf(SECOND, FIRST, WATCHED);
  const { frames, replyCount, decode } = encodeStep(step, KEY, Buffer.from(record));
  const cut = Buffer.from(frames).indexOf(encodeCommand(['MULTI']));
  const replies = await node.exchange(frames.subarray(0, cut), 2);
  t.equal(String(replies[1]), '$0\r\n\r\n', 'the check has passed');
  await sleepMs(Math.max(0, expireAt - Date.now()) + 5);
  replies.push(...(await node.exchange(frames.subarray(cut), replyCount - 2)));
  const answer = decode(replies) as AcceptAnswer<unknown>;
  t.equal(answer.kind, 'stale');
  t.match(await node.perform({ kind: 'peek' }, KEY, record), { accepted: FIRST, live: true, isExpired: true });
  t.match(await node.perform(step, KEY, record), { kind: 'expired', what: 'base' });
});

t.test('what another connection promises or writes between the check and EXEC stands', async (t) => {
  const [server, node, record] = await startMember(t);
  const step = acceptOf(FIRST, NEVER, WATCHED);
  const { frames, replyCount, decode } = encodeStep(step, KEY, Buffer.from(record));
  const cut = Buffer.from(frames).indexOf(encodeCommand(['MULTI']));
  const replies = await node.exchange(frames.subarray(0, cut), 2);
  const other = await connect(t, server.port);
  other.send(encodeStep({ kind: 'prepare', ballot: SECOND }, KEY, Buffer.from(record)).frames);
  t.match(String(await other.next()), /^\$\d+\r\nP/);
  replies.push(...(await node.exchange(frames.subarray(cut), replyCount - 2)));
  t.match(decode(replies), { kind: 'stale' });
  t.match(await node.perform(step, KEY, record), { kind: 'refused', promised: SECOND });
  t.match(await node.perform({ kind: 'peek' }, KEY, record), { accepted: NEVER, live: false });
});

t.test('what others do in the watch form at the same time stands beside it', async (t) => {
  const [server, node, record] = await startMember(t);
  const others = await connect(t, server.port);
  let [ours, theirs]: [string, string] = [NEVER, NEVER];
  for (let cut = 0; ; cut++) {
    const [next, theirNext] = [ballot(2 * cut + 10), ballot(2 * cut + 11)];
    const step = encodeStep(acceptOf(next, ours, WATCHED), KEY, Buffer.from(record));
    const other = encodeStep(
      acceptOf(theirNext, theirs, ['BITFIELD other INCRBY u8 0 1']),
      Buffer.from('other'),
      Buffer.from(record),
    );
    const frames = splitFrames(step.frames);
    if (cut > frames.length) break;
    const replies = cut === 0 ? [] : await node.exchange(Buffer.concat(frames.slice(0, cut)), cut);
    others.send(other.frames);
    const theirReplies: Uint8Array[] = [];
    while (theirReplies.length < other.replyCount) theirReplies.push(await others.next());
    if (cut < frames.length)
      replies.push(...(await node.exchange(Buffer.concat(frames.slice(cut)), frames.length - cut)));
    t.match([step.decode(replies).kind, other.decode(theirReplies).kind], ['ok', 'ok'], `cut behind command ${cut}`);
    [ours, theirs] = [next, theirNext];
  }
  t.match(await node.performMember({ kind: 'look' }, ''), { record });
  const left = (await node.exchange(encodeCommand(['KEYS', '~rl:[gp]:*']), 1)).map(String);
  t.same(left, ['*0\r\n'], 'nothing is left of them');
});

t.test('a message to a connection that listens to itself does not come in the midst of a reply', async (t) => {
  const [, node, record] = await startMember(t);
  await node.exchange(Buffer.concat([encodeCommand(['SUBSCRIBE', '~rl:wake']), encodeCommand(['PING'])]), 1);
  const list = ['GEOADD k 1 1 a', 'PUBLISH ~rl:wake k', 'BITFIELD other GET u8 0', 'PUBLISH ~rl:wake k'];
  const pushes = node.pushes;
  const answer = await node.perform(acceptOf(FIRST, NEVER, list), KEY, record);
  t.match(answer, { kind: 'ok' });
  t.same((answer as { replies: readonly Uint8Array[] | null } & AcceptAnswer<unknown>).replies?.map(String), [
    ':1\r\n',
    ':0\r\n',
    '*1\r\n:0\r\n',
    ':0\r\n',
  ]);
  await node.exchange(encodeCommand(['PING']), 1);
  t.equal(node.pushes, pushes + 2);
});

t.test('a state of which nobody knows whose it is has no ballot any more', async (t) => {
  const [, node, record] = await startMember(t);
  t.match(await node.perform(acceptOf(FIRST, NEVER, ['SET k a']), KEY, record), { kind: 'ok' });
  const { frames, replyCount } = encodeStep(acceptOf(SECOND, FIRST, WATCHED), KEY, Buffer.from(record));
  const commands = splitFrames(frames);
  // Without its check.
  await node.exchange(Buffer.concat(commands.filter((_, place) => place !== 1)), replyCount - 1);
  const given = await node.performMember({ kind: 'look' }, '');
  t.match(given, { record: record.replace('1 member', '1 repairing:0') });
  t.equal(String((await node.exchange(encodeCommand(['EXISTS', '~rl:m:k', 'k']), 1))[0]), ':1\r\n');
});

t.test('what one node alone carries out is refused on a value that takes more memory than it may', async (t) => {
  const [, node, record] = await startMember(t);
  const large = ['SET', 'k', 'x'.repeat(3000)].join(' ');
  t.match(await node.perform(acceptOf(FIRST, NEVER, [large]), KEY, record), { kind: 'ok' });
  const step = acceptOf(SECOND, FIRST, ['APPEND k y']);
  const encode = (isAlone: boolean, bytesMax: number) => {
    const commands: Commands = isAlone ? { ...step.commands, isAlone } : step.commands;
    return encodeStep({ ...step, commands }, KEY, Buffer.from(record), bytesMax);
  };
  const ask = async (request: ReturnType<typeof encode>) =>
    request.decode(await node.exchange(request.frames, request.replyCount)) as AcceptAnswer<unknown>;
  const refused = await ask(encode(true, 2000));
  t.match(refused.kind === 'unable' && String(refused.error), /^-OVERLOADED the value takes 3\d\d\d bytes .*2000\)/);
  t.equal(String((await node.exchange(encodeCommand(['STRLEN', 'k']), 1))[0]), ':3000\r\n');
  t.match(await ask(encode(true, 20_000)), { kind: 'ok' });
  t.match(await ask(encode(true, 2000)), { kind: 'already' }, 'what was done is no more refused');
});

/** Above SECOND. */
const THIRD = makeBallot(0, 3, proposerNumber(0, 1));

t.test('what leaves the value as it was keeps its ballot, if that is asked for', async (t) => {
  const [, node, record] = await startMember(t);
  const asked = (ballot: string, base: string, lines: string[], keepsSame: boolean) => {
    const step = acceptOf(ballot, base, lines);
    return node.perform({ ...step, commands: { ...step.commands, isAlone: true }, keepsSame }, KEY, record);
  };
  t.match(await asked(FIRST, NEVER, ['SET k a'], true), { kind: 'ok', live: true });
  const same = await asked(SECOND, FIRST, ['SETNX k b', 'STRLEN k'], true);
  t.equal(same.kind, 'same');
  t.same('replies' in same && same.replies?.map(String), [':0\r\n', ':1\r\n']);
  t.match(await node.perform({ kind: 'peek' }, KEY, record), { accepted: FIRST });
  t.match(await asked(SECOND, FIRST, ['SETNX k b'], false), { kind: 'ok' }, 'else it has the next one');
  t.match(await asked(THIRD, SECOND, ['PEXPIRE k 1000000'], true), { kind: 'ok' }, 'an expiry is something else');
  t.match(await node.perform({ kind: 'peek' }, KEY, record), { accepted: THIRD });
});

t.test('a transaction that was not checked makes its node give up its membership', async (t) => {
  const [, node, record] = await startMember(t);
  const { frames, replyCount, decode } = encodeStep(acceptOf(FIRST, NEVER, WATCHED), KEY, Buffer.from(record));
  const bytes = Buffer.from(frames);
  const [from, to] = [bytes.indexOf('*11\r\n$4\r\nEVAL'), bytes.indexOf(encodeCommand(['MULTI']))];
  t.ok(from > 0 && to > from, 'the check was found');
  const unchecked = [bytes.subarray(0, from), encodeCommand(['LPUSH', '~rl:node', 'refused']), bytes.subarray(to)];
  const pushes = node.pushes;
  const answer = decode(await node.exchange(Buffer.concat(unchecked), replyCount));
  t.equal(answer.kind, 'not-member');
  t.same(await node.perform(acceptOf(SECOND, FIRST, ['SET k b']), KEY, record), { kind: 'not-member' });
  t.equal(node.pushes, pushes + 1, 'who tracks the record is told');
  const look = await node.performMember({ kind: 'look' }, '');
  t.match(look, { record: record.replace('1 member', '1 repairing:0') });
});

t.test('a pass of one attempt is none for another', async (t) => {
  const [, node, record] = await startMember(t);
  const step = acceptOf(FIRST, NEVER, WATCHED);
  const [one, other] = [encodeStep(step, KEY, Buffer.from(record)), encodeStep(step, KEY, Buffer.from(record))];
  const bytes = Buffer.from(one.frames);
  await node.exchange(bytes.subarray(0, bytes.indexOf(encodeCommand(['MULTI']))), 2);
  await node.exchange(encodeCommand(['UNWATCH']), 1);
  const rest = Buffer.from(other.frames).subarray(Buffer.from(other.frames).indexOf(encodeCommand(['MULTI'])));
  const replies = await node.exchange(rest, other.replyCount - 2);
  t.equal(other.decode([...replies.slice(0, 2), ...replies]).kind, 'not-member');
});

t.test('the watch form needs no script to be loaded; the others say that theirs is missing', async (t) => {
  const [, node, record] = await startMember(t);
  await node.exchange(encodeCommand(['SCRIPT', 'FLUSH']), 1);
  t.match(await node.perform(acceptOf(FIRST, NEVER, WATCHED), KEY, record), { kind: 'ok' });
  const steps: Step<Commands, Uint8Array>[] = [
    { kind: 'prepare', ballot: SECOND },
    acceptOf(SECOND, FIRST, ['SET k b']),
    acceptOf(SECOND, FIRST, []),
    {
      kind: 'install',
      state: { accepted: SECOND, lineage: NO_LINEAGE, live: false, expireAt: 0, value: null },
      next: SECOND,
    },
    { kind: 'collect', ballot: FIRST },
  ];
  for (const step of steps) t.match(errorOf(await node.perform(step, KEY, record)), /^-NOSCRIPT /, step.kind);
  await node.loadScripts();
  t.match(await node.perform({ kind: 'prepare', ballot: SECOND }, KEY, record), { kind: 'ok', accepted: FIRST });
  t.equal(new Set(KEY_SCRIPTS.map(({ sha }) => sha)).size, KEY_SCRIPTS.length);
});

t.test('a connection that answered in RESP2 inside a transaction still hears of the record', async (t) => {
  const [server, node, record] = await startMember(t);
  await node.exchange(encodeCommand(['HSET', 'k', 'f', 'v']), 1);
  const commands = commandsOf(['HGETALL k'], 2);
  const view = await node.perform({ kind: 'read', commands }, KEY, record);
  t.equal(view.kind === 'view' && String(view.replies?.[0]), '*2\r\n$1\r\nf\r\n$1\r\nv\r\n');
  const again = await node.perform({ kind: 'read', commands: { ...commands, protocol: 3 } }, KEY, record);
  t.equal(again.kind === 'view' && String(again.replies?.[0]), '%1\r\n$1\r\nf\r\n$1\r\nv\r\n');
  const pushes = node.pushes;
  const other = await connect(t, server.port);
  await other.raw('SET', '~rl:node', 'another');
  t.same(await node.perform({ kind: 'peek' }, KEY, record), { kind: 'not-member' });
  t.equal(node.pushes, pushes + 1, 'the push came before the reply');
});

t.test('what expires between a transaction and its last command is noted as live (X2)', async (t) => {
  const [, node, record] = await startMember(t);
  const step = acceptOf(SECOND, FIRST, WATCHED);
  const bytes = Buffer.from(encodeStep(step, KEY, Buffer.from(record)).frames);
  // The value was there when the transaction began, and is gone when finish looks: as if it had expired in between.
  const past = Date.now() - 5;
  await node.exchange(encodeCommand(['SET', '~rl:m:k', `${SECOND}${FIRST}${NO_LINEAGE}1${past}`]), 1);
  const finish = bytes.lastIndexOf('$4\r\nEVAL');
  const words = wordsOf(bytes, finish);
  const pass = words[6] as string;
  await node.exchange(encodeCommand(['SET', `~rl:p:${pass}`, '']), 1);
  const [reply] = await node.exchange(encodeCommand(words), 1);
  t.equal(String(reply), `$14\r\n1${past}\r\n`);
  t.match(await node.perform({ kind: 'peek' }, KEY, record), { accepted: SECOND, live: true, isExpired: true });
});

t.test('a node without memory promises, deletes, reads and finishes, and refuses what makes it grow', async (t) => {
  const [, node, record] = await startMember(t);
  await node.perform(acceptOf(FIRST, NEVER, ['SET k a']), KEY, record);
  await node.exchange(encodeCommand(['CONFIG', 'SET', 'maxmemory', '1']), 1);
  const refused: readonly (readonly string[])[] = [['SET k b'], ['GET k', 'APPEND k b'], WATCHED];
  for (const list of refused) {
    const answer = await node.perform(acceptOf(SECOND, FIRST, list), KEY, record);
    t.match(errorOf(answer), /^-(OOM|EXECABORT) /, list.join('; '));
  }
  const state = { accepted: ballot(3), lineage: NO_LINEAGE, live: true, expireAt: 0, value: Buffer.from('x') };
  t.match(errorOf(await node.perform({ kind: 'install', state, next: NEVER }, KEY, record)), /^-OOM /);
  t.match(await node.perform({ kind: 'prepare', ballot: SECOND }, KEY, record), { kind: 'ok', accepted: FIRST });
  t.match(await node.perform(acceptOf(SECOND, FIRST, []), KEY, record), { kind: 'ok', replies: [] });
  const third = await node.perform(acceptOf(ballot(3), SECOND, ['GET k']), KEY, record);
  t.match(third, { kind: 'ok', replies: [Buffer.from('$1\r\na\r\n')] });
  t.match(await node.perform(acceptOf(ballot(4), ballot(3), ['DEL k']), KEY, record), { kind: 'ok', live: false });
  t.match(await node.perform({ kind: 'collect', ballot: ballot(4) }, KEY, record), { isCollected: true });
  t.match(await node.performMember({ kind: 'raise', epoch: 3 }, record), { kind: 'raised', epochFloor: 3 });
});

t.test('a node without memory is read from, its value fetched, and its deletion installed', async (t) => {
  const [, node, record] = await startMember(t);
  await node.perform(acceptOf(FIRST, NEVER, ['RPUSH k a b']), KEY, record);
  await node.exchange(encodeCommand(['CONFIG', 'SET', 'maxmemory', '1']), 1);
  const read: Step<Commands, never> = { kind: 'read', commands: commandsOf(['LLEN k', 'PTTL k', 'GET k'], 2) };
  for (const step of [read, { kind: 'peek' }, { kind: 'snapshot' }] as const) {
    t.match(errorOf(await node.perform(step, KEY, record)), /^-OOM /, 'no transaction is queued');
  }
  node.isFull = true;
  t.match(await node.perform({ kind: 'peek' }, KEY, record), { accepted: FIRST, live: true, isExpired: false });
  const replies = [':2\r\n', ':-1\r\n', /^-WRONGTYPE /];
  const view = await node.perform(read, KEY, record);
  t.match(view.kind === 'view' && view.replies?.map(String), replies);
  t.match(await node.perform(read, KEY, memberRecord({ runId: 'x', replId: 'y' })), { kind: 'not-member' });
  const snapshot = await node.perform({ kind: 'snapshot' }, KEY, record);
  const dump = (await node.exchange(encodeCommand(['DUMP', 'k']), 1))[0] as Buffer;
  t.match(snapshot, { accepted: FIRST, live: true, value: skipHeader(dump) });
  t.match(await node.performMember({ kind: 'look' }, ''), { kind: 'facts', record });
  const gone = { accepted: SECOND, lineage: NO_LINEAGE, live: false, expireAt: 0, value: null };
  t.match(await node.perform({ kind: 'install', state: gone, next: NEVER }, KEY, record), { kind: 'ok', live: false });
  t.match(await node.perform({ kind: 'snapshot' }, KEY, record), { accepted: SECOND, live: false, value: null });
  // Of what was not there, too, and of what commands write that make nothing grow.
  const other = Buffer.from('other');
  t.match(await node.perform({ kind: 'install', state: gone, next: NEVER }, other, record), { kind: 'ok' });
  t.match(await node.perform(acceptOf(ballot(3), SECOND, ['SET k 5']), KEY, record), { kind: 'unable' });
  const small = acceptOf(ballot(3), SECOND, ['SET k 5']);
  const commands: Commands = { ...small.commands, isSmall: true };
  t.match(await node.perform({ ...small, commands }, KEY, record), { kind: 'ok', live: true });
});

t.test('what comes between the two looks of a read is seen', async (t) => {
  const [, node, record] = await startMember(t);
  await node.perform(acceptOf(FIRST, NEVER, ['SET k a']), KEY, record);
  const read = encodeStep({ kind: 'read', commands: commandsOf(['GET k'], 2) }, KEY, Buffer.from(record));
  const frames = splitFrames(read.frames);
  const first = await node.exchange(Buffer.concat(frames.slice(0, 2)), 2);
  await node.perform(acceptOf(SECOND, FIRST, ['SET k b']), KEY, record);
  const rest = await node.exchange(Buffer.concat(frames.slice(2)), 1);
  t.match(read.decode([...first, ...rest]), { kind: 'not-member' });
  t.match(read.decode(await node.exchange(read.frames, 3)), { kind: 'view', accepted: SECOND });
});

t.test('a replica, and a server busy with another script, carry out nothing', async (t) => {
  const [server, node, record] = await startMember(t);
  const steps: Step<Commands, Uint8Array>[] = [
    { kind: 'prepare', ballot: SECOND },
    acceptOf(SECOND, NEVER, ['SET k b']),
    acceptOf(SECOND, NEVER, ['GET k', 'SET k b']),
    acceptOf(SECOND, NEVER, []),
    acceptOf(SECOND, NEVER, WATCHED),
    {
      kind: 'install',
      state: { accepted: SECOND, lineage: NO_LINEAGE, live: false, expireAt: 0, value: null },
      next: SECOND,
    },
  ];
  const other = await connect(t, server.port);
  await other.raw('CONFIG', 'SET', 'busy-reply-threshold', '1');
  other.send(encodeCommand(['EVAL', 'while true do end', '0']));
  await waitFor('a busy server', async () =>
    String((await node.exchange(encodeCommand(['PING']), 1))[0]).startsWith('-BUSY'),
  );
  for (const step of [...steps, { kind: 'peek' } as const, { kind: 'snapshot' } as const]) {
    t.match(errorOf(await node.perform(step, KEY, record)), /^-BUSY /, `busy: ${step.kind}`);
  }
  await node.exchange(encodeCommand(['SCRIPT', 'KILL']), 1);
  t.match(String(await other.next()), /^-ERR .*killed/i);
  t.match(await node.perform({ kind: 'peek' }, KEY, record), { accepted: NEVER, live: false });

  await node.exchange(encodeCommand(['REPLICAOF', '127.0.0.1', '1']), 1);
  for (const step of steps) {
    const answer = await node.perform(step, KEY, record);
    // An identity of what was never written writes nothing but the meta.
    t.match(errorOf(answer), /^-READONLY /, `replica: ${step.kind}`);
  }
});

t.test('a node that is denied a command half-way gives up its membership', async (t) => {
  const [, node, record] = await startMember(t);
  await node.exchange(encodeCommand(['ACL', 'SETUSER', 'default', '-append']), 1);
  const alone = await node.perform(acceptOf(FIRST, NEVER, ['APPEND k b']), KEY, record);
  t.match(errorOf(alone), /can't run this command/);
  t.match(await node.perform({ kind: 'peek' }, KEY, record), { accepted: NEVER });
  const half = await node.perform(acceptOf(FIRST, NEVER, ['SET k a', 'APPEND k b']), KEY, record);
  t.match(errorOf(half), /can't run this command/);
  t.same(await node.perform({ kind: 'peek' }, KEY, record), { kind: 'not-member' });
});

async function startMember(t: Test): Promise<[{ port: number }, ReplicaNode, string]> {
  const [server, node] = await startReplicaNode(t);
  const record = await node.admit();
  // Its push may come behind the reply, and comes before the next.
  await node.exchange(encodeCommand(['PING']), 1);
  return [server, node, record];
}

async function connect(t: Test, port: number): Promise<RespClient> {
  const client = await RespClient.connect(port);
  t.teardown(() => client.close());
  return client;
}

function acceptOf(own: string, base: string, list: readonly string[], more: Partial<Accept> = {}): Accept {
  const commands = commandsOf(list, 2);
  return {
    kind: 'accept',
    ballot: own,
    base,
    expected: null,
    lineage: NO_LINEAGE,
    expired: false,
    commands,
    setsExpiry: 0,
    next: own,
    ...more,
  };
}

function commandsOf(list: readonly string[], protocol: 2 | 3): Commands {
  return { list: list.map((words) => words.split(' ').map((word) => Buffer.from(word))), protocol };
}

function errorOf(answer: Answer<unknown, unknown>): string {
  return answer.kind === 'unable' ? Buffer.from(answer.error).toString() : JSON.stringify(answer);
}

/** The words of the command whose first word's header is at `at`. */
function wordsOf(bytes: Buffer, at: number): string[] {
  const words: string[] = [];
  let next = at;
  while (bytes[next] === 0x24) {
    const line = bytes.indexOf('\r\n', next);
    const start = line + 2;
    const length = Number(bytes.toString('latin1', next + 1, line));
    words.push(bytes.toString('latin1', start, start + length));
    next = start + length + 2;
  }
  return words;
}

function ballot(counter: number): string {
  return makeBallot(0, counter, proposerNumber(0, 7));
}

/** Commands one by one. */
function splitFrames(frames: Uint8Array): Uint8Array[] {
  const commands: Uint8Array[] = [];
  for (let at = 0; at < frames.length; ) {
    const end = skipValue(frames, at);
    commands.push(frames.subarray(at, end));
    at = end;
  }
  return commands;
}

/** The bytes of a bulk string. */
function skipHeader(frame: Buffer): Buffer {
  return frame.subarray(frame.indexOf('\r\n') + 2, -2);
}
