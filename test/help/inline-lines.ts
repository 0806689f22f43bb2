/**
 * Inline commands and their arguments, null where Redis finds the quotes unbalanced. inline.test.ts holds our splitting
 * against this table, and request-redis.test.ts holds the table against a Redis.
 */
export const INLINE_LINES: readonly [what: string, line: string, words: string[] | null][] = [
  ['words between blanks', '  SET\tkey  value ', ['SET', 'key', 'value']],
  ['nothing', '', []],
  ['only blanks', ' \t\v\f\r', []],
  ['double quotes', '"a b" "c"', ['a b', 'c']],
  ['single quotes', "'a b' 'c'", ['a b', 'c']],
  ['empty quotes', '"" \'\'', ['', '']],
  ['quotes that begin inside a word', 'ab"c d" e', ['abc d', 'e']],
  ['a vertical tab and a form feed inside a word, which do not end it', 'a\vb\fc', ['a\vb\fc']],
  ['a vertical tab after a quote, which may follow it', '"a"\vb', ['a', 'b']],
  ['escapes in double quotes', '"\\n\\r\\t\\b\\a\\\\\\"\\q"', ['\n\r\t\b\x07\\"q']],
  ['hexadecimal escapes', '"\\x00\\xfF\\x4a"', ['\0\xffJ']],
  ['what only looks like hexadecimal', '"\\x4" "\\xzz" "\\x"', ['x4', 'xzz', 'x']],
  ['a hexadecimal escape cut off by the quote', '"\\x4"', ['x4']],
  ['an escaped quote in single quotes, the only escape there', "'it\\'s \\n'", ["it's \\n"]],
  ['a backslash outside of quotes', 'a\\nb', ['a\\nb']],
  ['other quotes inside of quotes', `"it's" 'a "b"'`, ["it's", 'a "b"']],
  ['bytes beyond ASCII', '\xff\x80', ['\xff\x80']],
  ['a double quote not closed', 'a "b', null],
  ['a single quote not closed', "a 'b", null],
  ['a backslash at the end of an open quote', '"a\\', null],
  ['an escaped closing quote', '"a\\"', null],
  ['an escaped closing single quote', "'a\\'", null],
  ['text after a double quote', '"a"b', null],
  ['text after a single quote', "'a'b", null],
  ['a quote right after a quote', '"a""b"', null],
];
