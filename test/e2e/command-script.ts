/**
 * Commands that one Redis and the proxy are asked alike, a line each, in this order, on empty servers. A line that begins
 * with `~` has a reply without order (its elements are sorted before they are compared). Words are split at blanks; "…" is
 * one word, in which \n, \r, \t, \xHH, \" and \\ are escapes.
 *
 * Left out is what one Redis itself does not answer twice alike (random members, times, memory), and what the proxy refuses.
 */
export const COMMAND_SCRIPT = String.raw`
# strings
SET s1 hello
GET s1
GET missing
SET s1 other NX
SET s2 other NX
SET s2 third XX GET
SET s3 x GET
SET s3 y EX 0
SET s3 y PX abc
SET s3 y EX 100 KEEPTTL
SET s3 y NX XX
SET s3 y EXAT 99999999999
EXPIRETIME s3
PEXPIRETIME s3
PERSIST s3
PERSIST s3
TTL s3
TTL missing
PTTL missing
SETEX s4 100 v
TTL s4
SETEX s4 0 v
SETEX s4 abc v
PSETEX s4 100000 v
SETNX s5 v
SETNX s5 w
GETSET s5 x
GETDEL s5
GETDEL s5
GETEX s1 EX 100
TTL s1
GETEX s1 PERSIST
TTL s1
GETEX s1 NONSENSE
APPEND s1 " world"
APPEND s6 new
STRLEN s1
STRLEN missing
SUBSTR s1 0 3
GETRANGE s1 -5 -1
SETRANGE s1 6 Redis
SETRANGE s1 -1 x
SETRANGE s1 600000000 x
GET s1
INCR n1
INCR n1
INCRBY n1 40
INCRBY n1 notanumber
DECR n1
DECRBY n1 9223372036854775807
INCRBYFLOAT n1 0.5
INCRBYFLOAT n1 nan
INCR s1
SET big 9223372036854775807
INCR big
LCS {l}1 {l}2
MSET {l}1 ohmytext {l}2 mynewtext
LCS {l}1 {l}2
LCS {l}1 {l}2 LEN
LCS {l}1 {l}2 IDX MINMATCHLEN 4 WITHMATCHLEN
SET "" empty-key
GET ""
SET "binary\x00\xff\r\nkey" "binary\x00\xfe\r\nvalue"
GET "binary\x00\xff\r\nkey"
EXISTS "binary\x00\xff\r\nkey"

# many keys at once, on all shards
MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8 i 9 j 10
MGET a b c d e f g h i j missing a
MGET a
MGET missing
MGET j a j a
MSET a
MSET a 1 b
MSET k 1 k 2 k 3
GET k
MSETNX {m}1 1 {m}2 2
MSETNX {m}2 1 {m}3 2
MGET {m}1 {m}2 {m}3
EXISTS a b c missing a
EXISTS missing
TOUCH a b c missing
TOUCH a
DEL a b missing
DEL missing
UNLINK c d e missing c
EXISTS a b c d e f
DBSIZE

# bits
SETBIT bits 7 1
SETBIT bits 7 1
GETBIT bits 7
GETBIT bits 100
SETBIT bits -1 1
SETBIT bits 1 2
BITCOUNT bits
BITCOUNT bits 0 0
BITCOUNT bits 0 -1 BIT
BITCOUNT bits 0
BITPOS bits 1
BITPOS bits 0
BITPOS bits 1 5
BITFIELD bits SET u8 0 255 GET u4 4 INCRBY i5 100 1
BITFIELD bits OVERFLOW FAIL INCRBY u2 100 5
BITFIELD bits GET z8 0
BITFIELD_RO bits GET u8 0
BITFIELD_RO bits SET u8 0 1
BITOP AND {b}dest {b}1 {b}2
SET {b}1 foobar
SET {b}2 abcdef
BITOP AND {b}dest {b}1 {b}2
BITOP XOR {b}dest {b}1 {b}2
BITOP NOT {b}dest {b}1
BITOP NOT {b}dest {b}1 {b}2
GET {b}dest

# hashes
HSET h f1 v1 f2 v2 f3 3
HSET h f1 v1b f4 v4
HSET h f1
HGET h f1
HGET h missing
HGET missing f
HMSET hm f1 a f2 b
HMSET hm f1
HMGET h f1 missing f3
HGETALL h
HGETALL missing
HKEYS h
HVALS h
HLEN h
HSTRLEN h f1
HEXISTS h f1
HEXISTS h missing
HSETNX h f1 x
HSETNX h f9 x
HINCRBY h f3 4
HINCRBY h f1 4
HINCRBYFLOAT h f3 0.5
HDEL h f1 f2 missing
HSCAN h 0
HSCAN h 0 MATCH f*
HSCAN h 0 COUNT 0
HSCAN h notacursor
HRANDFIELD missing
HRANDFIELD missing 5
HRANDFIELD h 0
GET h
LPUSH h x

# lists
RPUSH l a b c d
LPUSH l z
LPUSHX missing x
RPUSHX l e
LRANGE l 0 -1
LRANGE l 1 2
LRANGE l 5 1
LRANGE missing 0 -1
LLEN l
LLEN missing
LINDEX l 0
LINDEX l -1
LINDEX l 100
LSET l 0 y
LSET l 100 y
LSET missing 0 y
LINSERT l BEFORE b x
LINSERT l AFTER nothere x
LINSERT l SIDEWAYS b x
LPOS l c
LPOS l c RANK -1 COUNT 0
LPOS l nothere
LREM l 1 x
LTRIM l 1 -2
LRANGE l 0 -1
LPOP l
LPOP l 2
LPOP l 0
LPOP missing
LPOP missing 3
RPOP l
RPOP missing
RPUSH {q}1 1 2 3
LMOVE {q}1 {q}2 LEFT RIGHT
LMOVE {q}1 {q}2 LEFT UP
RPOPLPUSH {q}1 {q}2
RPOPLPUSH {q}missing {q}2
LMPOP 2 {q}0 {q}2 LEFT COUNT 10
LMPOP 1 {q}0 LEFT
LMPOP 0 {q}0 LEFT
LRANGE {q}1 0 -1

# sets
SADD set 1 2 3
SADD set 3 4
SCARD set
SMEMBERS set
SISMEMBER set 1
SISMEMBER set x
SMISMEMBER set 1 9 2
SREM set 1 9
SMEMBERS missing
SRANDMEMBER missing
SRANDMEMBER missing 3
SPOP missing
SPOP missing 3
SPOP missing -1
SADD words apple pear plum
~ SMEMBERS words
SSCAN set 0
SADD {t}1 1 2 3
SADD {t}2 2 3 4
SINTER {t}1 {t}2
~ SUNION {t}1 {t}2
SDIFF {t}1 {t}2
SINTERCARD 2 {t}1 {t}2
SINTERCARD 2 {t}1 {t}2 LIMIT 1
SINTERCARD 0 {t}1
SINTERSTORE {t}3 {t}1 {t}2
SUNIONSTORE {t}3 {t}1 {t}2
SDIFFSTORE {t}3 {t}1 {t}2
SMEMBERS {t}3
SMOVE {t}1 {t}2 1
SMOVE {t}1 {t}2 1
SMEMBERS {t}2

# sorted sets
ZADD z 1 a 2 b 3 c
ZADD z NX 9 a 4 d
ZADD z XX CH 9 a 4 d
ZADD z INCR 1 b
ZADD z NX XX 1 a
ZADD z abc a
ZADD z 1
ZADD z GT LT 1 a
ZSCORE z a
ZSCORE z missing
ZMSCORE z a missing c
ZCARD z
ZCOUNT z -inf +inf
ZCOUNT z (3 9
ZCOUNT z abc 9
ZINCRBY z 1.5 a
ZINCRBY z inf b
ZRANGE z 0 -1
ZRANGE z 0 -1 WITHSCORES
ZRANGE z 0 -1 REV
ZRANGE z 3 9 BYSCORE LIMIT 0 1
ZRANGE z - + BYLEX
ZRANGE z 0 -1 LIMIT 0 1
ZREVRANGE z 0 1 WITHSCORES
ZRANGEBYSCORE z -inf +inf WITHSCORES LIMIT 1 2
ZREVRANGEBYSCORE z +inf -inf
ZADD lex 0 a 0 b 0 c 0 d
ZRANGEBYLEX lex [b (d
ZREVRANGEBYLEX lex + - LIMIT 0 2
ZLEXCOUNT lex - +
ZREMRANGEBYLEX lex [a [b
ZRANK z b
ZRANK z missing
ZREVRANK z b
ZREM z a missing
ZPOPMIN z
ZPOPMAX z 1
ZPOPMIN missing
ZREMRANGEBYRANK z 0 0
ZREMRANGEBYSCORE z -inf +inf
ZADD {y}1 1 a 2 b
ZADD {y}2 10 b 20 c
ZUNION 2 {y}1 {y}2 WITHSCORES
ZINTER 2 {y}1 {y}2 WEIGHTS 2 3 AGGREGATE MAX WITHSCORES
ZDIFF 2 {y}1 {y}2 WITHSCORES
ZINTERCARD 2 {y}1 {y}2
ZUNIONSTORE {y}3 2 {y}1 {y}2
ZINTERSTORE {y}3 2 {y}1 {y}2
ZDIFFSTORE {y}3 2 {y}1 {y}2
ZRANGESTORE {y}4 {y}1 0 -1
ZRANGE {y}4 0 -1 WITHSCORES
ZMPOP 2 {y}0 {y}1 MIN COUNT 5
ZMPOP 1 {y}0 MAX
ZUNION 0 {y}1
ZUNION 3 {y}1 {y}2
ZSCAN {y}2 0
ZRANDMEMBER missing
ZRANDMEMBER missing 2 WITHSCORES

# geo, hyperloglog
GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
GEOADD Sicily 200 100 nowhere
GEODIST Sicily Palermo Catania km
GEODIST Sicily Palermo nowhere
GEOPOS Sicily Palermo nowhere
GEOHASH Sicily Palermo Catania
GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHDIST
GEORADIUS Sicily 15 37 200 km WITHCOORD
GEORADIUSBYMEMBER Sicily Palermo 200 km
GEOSEARCHSTORE {Sicily}2 {Sicily}1 FROMLONLAT 15 37 BYRADIUS 1 km
PFADD hll a b c d e
PFADD hll a
PFCOUNT hll
PFCOUNT missing
PFADD {p}1 a b
PFADD {p}2 b c
PFCOUNT {p}1 {p}2
PFMERGE {p}3 {p}1 {p}2
PFCOUNT {p}3
PFADD s1 x

# streams
XADD st 1-1 field value
XADD st 1-2 field value2 other x
XADD st 1-1 field again
XADD st NOMKSTREAM 1-3 f v
XADD nostream NOMKSTREAM 1-3 f v
XADD st 2-0 f
XLEN st
XRANGE st - +
XRANGE st 1-2 + COUNT 1
XREVRANGE st + - COUNT 2
XREAD STREAMS st 0
XREAD COUNT 1 STREAMS st 1-1
XREAD STREAMS st $
XREAD STREAMS missing 0
XREAD STREAMS st
XREAD NONSENSE STREAMS st 0
XADD {x}1 1-1 a 1
XADD {x}2 1-1 b 2
XREAD STREAMS {x}1 {x}2 0 0
XGROUP CREATE st g1 0
XGROUP CREATE st g1 0
XGROUP CREATE nostream g1 0
XGROUP CREATE nostream g1 $ MKSTREAM
XGROUP SETID st g1 0
XGROUP CREATECONSUMER st g1 c1
XREADGROUP GROUP g1 c1 COUNT 1 STREAMS st >
XREADGROUP GROUP g1 c1 STREAMS st 0
XREADGROUP GROUP nogroup c1 STREAMS st >
XREADGROUP GROUP g1 c1 STREAMS st nonsense
XACK st g1 1-1
XACK st g1 1-1
XPENDING st g1
XCLAIM st g1 c2 999999999 1-2
XAUTOCLAIM st g1 c2 999999999 0
XINFO STREAM nothere
XINFO GROUPS st
XGROUP DELCONSUMER st g1 c1
XGROUP DESTROY st g1
XDEL st 1-1
XTRIM st MAXLEN 0
XSETID st 5-0
XSETID st 1-0

# keys
TYPE s1
TYPE h
TYPE l
TYPE st
TYPE missing
OBJECT ENCODING n1
OBJECT ENCODING h
OBJECT ENCODING missing
OBJECT REFCOUNT s1
OBJECT FREQ s1
OBJECT NONSENSE s1
EXPIRE s1 100
EXPIRE s1 100 NX
EXPIRE s1 200 GT
EXPIRE s1 abc
EXPIRE missing 100
PEXPIRE s1 100000
EXPIREAT s1 99999999999
PEXPIREAT s1 99999999999000
EXPIRETIME s1
RENAME {r}1 {r}2
SET {r}1 v
RENAME {r}1 {r}2
RENAMENX {r}2 {r}2
RENAMENX {r}2 {r}3
COPY {r}3 {r}4
COPY {r}3 {r}4
COPY {r}3 {r}4 REPLACE
COPY {r}3 {r}3
DUMP missing
DUMP {r}3
RESTORE {r}5 0 nonsense
RESTORE {r}5 -1 nonsense
SORT l2
RPUSH numbers 3 1 2 10
SORT numbers
SORT numbers DESC LIMIT 0 2
SORT numbers ALPHA
SORT numbers BY nosort
SORT words2 NONSENSE
SORT_RO numbers
RPUSH {so}1 3 1 2
SORT {so}1 STORE {so}2
LRANGE {so}2 0 -1
SORT st

# scripts
EVAL "return 1" 0
EVAL "return {KEYS[1], ARGV[1], ARGV[2]}" 1 {e}1 a b
EVAL "return redis.call('set', KEYS[1], ARGV[1])" 1 {e}1 value
EVAL "return redis.call('get', KEYS[1])" 1 {e}1
EVAL "return redis.call('mget', KEYS[1], KEYS[2])" 2 {e}1 {e}2
EVAL "return {1, 2.5, 'three', false, true, {nested = 1}, {4, {5}}}" 0
EVAL "return redis.error_reply('MY error')" 0
EVAL "return redis.status_reply('FINE')" 0
EVAL "return nonsense(" 0
EVAL "return redis.call('nosuch')" 0
EVAL "return redis.call('incr', KEYS[1])" 1 {e}1
EVAL "return redis.pcall('incr', KEYS[1])" 1 {e}1
EVAL "return 1" 1
EVAL "return 1" -1
EVAL "return 1" abc
EVAL_RO "return redis.call('get', KEYS[1])" 1 {e}1
EVAL_RO "return redis.call('set', KEYS[1], 'x')" 1 {e}1
EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 {e}1
EVALSHA short 0
EVALSHA_RO ffffffffffffffffffffffffffffffffffffffff 0
FCALL nosuchfunction 1 {e}1
FCALL_RO nosuchfunction 0

# the wrong type
GET l
INCR h
LPUSH s1 x
SADD l x
HSET set f v
ZADD h 1 a
XADD s1 1-1 f v
PFCOUNT s1
SETBIT l 1 1
APPEND set x
MGET s1 l h set
GETRANGE h 0 1
LRANGE set 0 -1
SMEMBERS h
HGETALL z2
ZRANGE l 0 -1
STRLEN st

# what is no command, or not the right number of words
NOSUCHCOMMAND
NOSUCHCOMMAND with "some words" and "\r\nlines"
GET
GET a b
SET a
HSET h
MGET
DEL
EVAL
PING a b
ECHO
XGROUP
XGROUP NOSUCH
OBJECT
CLIENT
CLIENT NOSUCH
CLIENT ID x
CONFIG
CONFIG NOSUCH
COMMAND NOSUCH
XINFO NOSUCH st
get s1
GeT s1

# the connection, and the server
PING
PING hello
ECHO "hello world"
SELECT 0
SELECT abc
SELECT 100
AUTH password
AUTH default password
AUTH nosuchuser password
AUTH a b c
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
CLIENT SETNAME "with blank"
CLIENT SETNAME ""
CLIENT GETNAME
HELLO 1
HELLO abc
HELLO 2 NONSENSE
HELLO 3 SETNAME
HELLO 3 SETNAME "with blank"
HELLO 3 AUTH nosuchuser password
CONFIG GET maxmemory-policy
CONFIG GET save
CONFIG GET nosuchsetting
CONFIG GET appendonly
COMMAND COUNT
COMMAND GETKEYS GET key
COMMAND GETKEYS MSET a 1 b 2
COMMAND GETKEYS EVAL script 2 a b c
COMMAND GETKEYS PING
COMMAND GETKEYS NOSUCH a
COMMAND INFO nosuchcommand
COMMAND DOCS nosuchcommand
~ COMMAND LIST
~ COMMAND LIST FILTERBY PATTERN x*
OBJECT HELP
XINFO HELP
CLIENT HELP
CONFIG HELP
INFO nosuchsection
DBSIZE
DBSIZE x
FLUSHDB NONSENSE
FLUSHALL NONSENSE
FLUSHDB ASYNC
DBSIZE
SET after flush
FLUSHALL
GET after
FLUSHALL SYNC
DBSIZE
`;

/** One line of the script. */
export interface ScriptedCommand {
  words: Buffer[];
  isUnordered: boolean;
  line: string;
}

export function readScript(script: string): ScriptedCommand[] {
  const lines = script.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const isUnordered = line.startsWith('~ ');
    const words = (isUnordered ? line.slice(2) : line).match(/"(?:[^"\\]|\\.)*"|[^ ]+/g) ?? [];
    return { words: words.map(readWord), isUnordered, line };
  });
}

function readWord(word: string): Buffer {
  if (!word.startsWith('"')) return Buffer.from(word);
  const text = word.slice(1, -1).replaceAll(/\\(x([0-9a-f]{2})|.)/g, (_, escaped: string, hex?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return { n: '\n', r: '\r', t: '\t' }[escaped] ?? escaped;
  });
  return Buffer.from(text, 'latin1');
}
