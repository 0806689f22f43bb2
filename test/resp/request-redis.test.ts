/**
 * Holds our reading of commands against a Redis: the same bytes, the same commands, the same words of refusal.
 */
import { connect } from 'node:net';
import t from 'tap';
import { INLINE_LINES } from '../help/inline-lines.js';
import { MALFORMED_COMMANDS, MALFORMED_UNAUTHENTICATED } from '../help/malformed-commands.js';
import { randomFromSeed } from '../help/random.js';
import { mutate, randomCommand } from '../help/random-frames.js';
import { RedisServer } from '../help/redis-server.js';
import { parseReplies, parseReply, ReplyError, type Value } from '../help/reference-parser.js';
import { readWhole } from '../help/request-stream.js';
import { within } from '../help/wait-for.js';

/** An answer that no command in these tests gets by chance. */
const MARKER = 'ringleader-marker';
const MARKER_COMMAND = Buffer.from(`*2\r\n$4\r\nECHO\r\n$${MARKER.length}\r\n${MARKER}\r\n`);

const server = await RedisServer.start();
const guarded = await RedisServer.start({ args: ['--requirepass', 'secret'] });
t.teardown(async () => {
  await server.stop();
  await guarded.stop();
});

for (const { what, bytes, error } of MALFORMED_COMMANDS) {
  t.test(`a Redis refuses in the same words: ${what}`, async (t) => {
    t.same((await repliesOf(server, bytes)).at(-1), new ReplyError(`ERR Protocol error: ${error}`));
  });
}

for (const { what, bytes, error } of MALFORMED_UNAUTHENTICATED) {
  t.test(`a Redis bounds a session without its password in the same words: ${what}`, async (t) => {
    t.same((await repliesOf(guarded, bytes)).at(-1), new ReplyError(`ERR Protocol error: ${error}`));
  });
}

for (const [what, line, words] of INLINE_LINES) {
  t.test(`a Redis splits an inline command the same way: ${what}`, async (t) => {
    const bytes = Buffer.from(`EVAL "return ARGV" 0 ${line}\r\n`, 'latin1');
    const expected = words ?? new ReplyError('ERR Protocol error: unbalanced quotes in request');
    const replies = await repliesOf(server, words === null ? bytes : Buffer.concat([bytes, MARKER_COMMAND]));
    t.same(replies[0], expected);
  });
}

t.test('a Redis finds as many commands in damaged ones, and refuses them in the same words', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  let refused = 0;
  let read = 0;
  for (let round = 0; round < 1_500; round++) {
    const commands = Array.from({ length: 1 + random.below(3) }, () => randomCommand(random));
    const bytes = mutate(random, Buffer.concat(commands));
    const ours = readWhole(bytes);
    // What waits for more cannot be told from what a Redis takes a long time for.
    if (ours.error === '' && ours.rest < bytes.length) continue;
    const answered = ours.commands.filter((words) => words.length > 0).length;
    const replies = await repliesOf(server, ours.error === '' ? Buffer.concat([bytes, MARKER_COMMAND]) : bytes);
    const about = JSON.stringify(bytes.toString('latin1'));
    if (replies.length !== answered + 1) t.fail(`${replies.length} replies to ${answered} commands: ${about}`);
    const last = replies.at(-1);
    const text = last instanceof ReplyError ? last.message : last;
    const expected = ours.error === '' ? MARKER : `ERR ${ours.error}`;
    if (text !== expected) t.fail(`${JSON.stringify(text)} is not ${JSON.stringify(expected)}: ${about}`);
    if (ours.error === '') read++;
    else refused++;
  }
  t.ok(read > 100 && refused > 100, `${read} were read and ${refused} refused`);
});

/** What the server replies to `bytes` on a connection of their own, up to the marker or to the connection's end. */
async function repliesOf(to: RedisServer, bytes: Buffer): Promise<Value[]> {
  const reply = new Promise<Buffer>((resolve) => {
    const socket = connect(to.port, '127.0.0.1', () => socket.write(bytes));
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (endsWithMarker(received)) socket.destroy();
    });
    // A Redis that refuses may leave bytes unread, and then its end of the connection is a reset.
    socket.on('error', () => {});
    socket.on('close', () => resolve(received));
  });
  return parseReplies(await within(`the reply to ${JSON.stringify(bytes.toString('latin1', 0, 200))}`, reply));
}

function endsWithMarker(received: Buffer): boolean {
  const reply = received.subarray(Math.max(0, received.length - MARKER_COMMAND.length));
  const at = reply.indexOf(`$${MARKER.length}\r\n`);
  return at >= 0 && parseReply(reply, at)?.value === MARKER;
}
