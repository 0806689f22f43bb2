/** Which scripts are remembered, and for how long. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { KnownScripts } from '../../src/proxy/known-scripts.js';

function shaOf(source: string): string {
  return createHash('sha1').update(source, 'latin1').digest('hex');
}

t.test('what was shown is found by its SHA1, in either case, by its own service', async (t) => {
  const known = new KnownScripts({ scriptsBytesMax: 1000 }, { scriptsForgotten: 0 });
  const source = "return '\xff'";
  const learned = known.learn(1, source);
  t.match(learned, { service: 1, sha: shaOf(source), source, toldMs: Number.NEGATIVE_INFINITY });
  t.equal(known.learn(1, source), learned);
  t.equal(known.find(1, shaOf(source).toUpperCase()), learned);
  t.equal(known.find(2, shaOf(source)), null);
  known.learn(2, source);
  known.forget(1);
  t.equal(known.find(1, shaOf(source)), null);
  t.match(known.find(2, shaOf(source)), { service: 2 });
});

t.test('who was not called for longest is forgotten when there are too many bytes', async (t) => {
  const limits = { scriptsBytesMax: 3 * 420 };
  const counts = { scriptsForgotten: 0 };
  const known = new KnownScripts(limits, counts);
  const [one, two, three] = ['1', '2', '3'].map((text) => text.repeat(10)) as [string, string, string];
  for (const source of [one, two, three]) known.learn(0, source);
  known.find(0, shaOf(one));
  known.learn(0, '4');
  t.equal(known.find(0, shaOf(two)), null);
  for (const source of [one, three, '4']) t.match(known.find(0, shaOf(source)), { source });
  t.equal(counts.scriptsForgotten, 1);
  t.equal(known.learn(0, 'x'.repeat(1000)), null, 'one that is too large puts out no other');
  limits.scriptsBytesMax = 402;
  known.learn(0, '5');
  t.match(known.find(0, shaOf('5')), { source: '5' });
  t.equal(known.find(0, shaOf(one)), null);
  t.equal(counts.scriptsForgotten, 4);
});
