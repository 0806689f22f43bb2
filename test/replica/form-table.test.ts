import t from 'tap';
import { formOf } from '../../src/replica/form-table.js';
import { operationOf } from '../../src/replica/forms.js';
import { COMMANDS, type CommandSpec } from '../../src/resp/commands.js';
import { findOnKey } from '../help/command-comparison.js';
import { randomFromSeed } from '../help/random.js';
import { PATTERNS, randomWords } from '../help/random-commands.js';

/** Said by the route that they are not for any key, with a reason; RESTORE-ASKING and MIGRATE among them. */
const isRejected = (spec: CommandSpec) => spec.route === 'reject';
/** WATCH compares ballots, and is no operation. */
const NO_OPERATION = new Set(['watch']);
/** Field expiry follows the nodes' clocks inside a key (rule X3): Redis 7.0 has none of it, and the proxy knows none of it. */
const FIELD_EXPIRY = /^h(p?expire(at|time)?|p?ttl|persist|getex|setex|getdel)$/;

t.test('every command that may stand on one key has a form, or is refused with a reason', async (t) => {
  for (const spec of COMMANDS) {
    if (spec.keys === 'none' || NO_OPERATION.has(spec.name) || spec.route === 'lock') {
      t.equal(formOf(spec), null, `${spec.name} is no operation on a key`);
    } else if (isRejected(spec)) {
      const refusal = operationOf(spec, [], 2);
      t.ok(refusal instanceof Uint8Array && Buffer.from(refusal).toString() === `-${spec.reason}\r\n`, spec.name);
      t.match(spec.reason, /^ERR .{20}/, `${spec.name}: the reason`);
    } else {
      t.not(formOf(spec), null, spec.name);
    }
    t.notMatch(spec.name, FIELD_EXPIRY, `${spec.name} sets no expiry inside a key`);
  }
});

t.test('every form is among those that are tried on real servers', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const tried = new Set<string>();
  for (const pattern of PATTERNS) {
    for (let attempt = 0; attempt < 50; attempt++) {
      const found = findOnKey(randomWords(random, pattern));
      if (found !== null) tried.add(found.spec.name);
    }
  }
  const untried = COMMANDS.filter((spec) => formOf(spec) !== null && !isRejected(spec) && !tried.has(spec.name));
  t.same(
    untried.map(({ name }) => name),
    ['evalsha_ro', 'fcall_ro', 'restore'],
  );
});

t.test('what only reads needs no ballot, and what may write is never taken for a read', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const readingWrites = new Set<string>();
  for (const pattern of PATTERNS) {
    for (let attempt = 0; attempt < 50; attempt++) {
      const found = findOnKey(randomWords(random, pattern));
      const operation = found === null ? null : operationOf(found.spec, found.command, 3);
      if (found === null || operation === null || operation instanceof Uint8Array) continue;
      if (found.spec.readonly) t.not(operation.reads, null, pattern);
      else if (operation.reads !== null) readingWrites.add(found.spec.name);
    }
  }
  t.same([...readingWrites].sort(), ['bitfield', 'georadius', 'georadiusbymember', 'getex', 'sort']);
});
