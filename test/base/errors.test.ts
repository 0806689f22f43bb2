import t from 'tap';
import { ERROR_CODES, errorBytes, showBytes, withoutSecret } from '../../src/base/errors.js';

function show(text: string, start = 0, end = text.length): string {
  return showBytes(Buffer.from(text, 'latin1'), start, end);
}

t.test('an error is one line, whatever its text', async (t) => {
  const text = (reason: string) => Buffer.from(errorBytes('NODEDOWN', reason)).toString();
  t.equal(text('node a: gone'), '-NODEDOWN node a: gone\r\n');
  t.equal(text('two\r\nlines\n\n\rmore'), '-NODEDOWN two lines more\r\n');
  t.equal(text(''), '-NODEDOWN \r\n');
  t.equal(text('naïve'), '-NODEDOWN naïve\r\n', 'in UTF-8');
});

t.test('every code of the table makes an error of its name', async (t) => {
  for (const code of Object.values(ERROR_CODES))
    t.equal(Buffer.from(errorBytes(code, 'x')).toString(), `-${code} x\r\n`);
});

t.test('a text that says a secret back is shown without it, also where it breaks off', async (t) => {
  t.equal(withoutSecret('AUTH s3cret, s3cret!', 's3cret'), 'AUTH ..., ...!');
  t.equal(withoutSecret('AUTH s3cr', 's3cret'), 'AUTH ...');
  t.equal(withoutSecret('AUTH s3', 's3cret'), 'AUTH s3', 'two letters are any word');
  t.equal(withoutSecret('it is what it is', 's3cret'), 'it is what it is');
  t.equal(withoutSecret('$& $1', '$&'), '... $1');
  t.equal(withoutSecret('text', ''), 'text');
  t.equal(withoutSecret('text', null), 'text');
});

t.test('bytes are shown as text that breaks no line and no quotes of a terminal', async (t) => {
  t.equal(show('plain text'), "'plain text'");
  t.equal(show('a\r\n\0\x7f\xff'), "'a\\x0d\\x0a\\x00\\x7f\\xff'");
  t.equal(show(''), "''");
  t.equal(show('abcdef', 2, 4), "'cd'");
});

t.test('of many bytes the first are shown', async (t) => {
  t.equal(show('x'.repeat(64)), `'${'x'.repeat(64)}'`);
  t.equal(show('x'.repeat(65)), `'${'x'.repeat(64)}...'`);
  t.equal(show('x'.repeat(1_000_000)), `'${'x'.repeat(64)}...'`);
});
