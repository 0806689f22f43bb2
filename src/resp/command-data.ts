/**
 * Every command and subcommand of Redis 7.0, as the server describes them. Made by scripts/make-commands.mjs: do not edit.
 *
 * One line a command, its columns between semicolons: name; arity; flags; ACL categories; first, last and step of its keys
 * (of COMMAND); key specifications, separated by commas; tips; group; since. Read by commands.ts.
 */
export const COMMAND_DATA = `
acl; -2;; slow;;;; server; 6.0.0
acl|cat; -2; loading noscript stale; slow;;;; server; 6.0.0
acl|deluser; -3; admin loading noscript stale; admin dangerous slow;;;; server; 6.0.0
acl|dryrun; -4; admin loading noscript stale; admin dangerous slow;;;; server; 7.0.0
acl|genpass; -2; loading noscript stale; slow;;;; server; 6.0.0
acl|getuser; 3; admin loading noscript stale; admin dangerous slow;;;; server; 6.0.0
acl|help; 2; loading stale; slow;;;; server; 6.0.0
acl|list; 2; admin loading noscript stale; admin dangerous slow;;;; server; 6.0.0
acl|load; 2; admin loading noscript stale; admin dangerous slow;;;; server; 6.0.0
acl|log; -2; admin loading noscript stale; admin dangerous slow;;;; server; 6.0.0
acl|save; 2; admin loading noscript stale; admin dangerous slow;;;; server; 6.0.0
acl|setuser; -3; admin loading noscript stale; admin dangerous slow;;;; server; 6.0.0
acl|users; 2; admin loading noscript stale; admin dangerous slow;;;; server; 6.0.0
acl|whoami; 2; loading noscript stale; slow;;;; server; 6.0.0
append; 3; denyoom fast write; fast string write; 1 1 1; index 1 range 0 1 0 RW insert;; string; 2.0.0
asking; 1; fast; connection fast;;;; cluster; 3.0.0
auth; -2; allow_busy fast loading no_auth noscript stale; connection fast;;;; connection; 1.0.0
bgrewriteaof; 1; admin no_async_loading noscript; admin dangerous slow;;;; server; 1.0.0
bgsave; -1; admin no_async_loading noscript; admin dangerous slow;;;; server; 1.0.0
bitcount; -2; readonly; bitmap read slow; 1 1 1; index 1 range 0 1 0 RO access;; bitmap; 2.6.0
bitfield; -2; denyoom write; bitmap slow write; 1 1 1; index 1 range 0 1 0 RW access update variable_flags;; bitmap; 3.2.0
bitfield_ro; -2; fast readonly; bitmap fast read; 1 1 1; index 1 range 0 1 0 RO access;; bitmap; 6.0.0
bitop; -4; denyoom write; bitmap slow write; 2 -1 1; index 2 range 0 1 0 OW update, index 3 range -1 1 0 RO access;; bitmap; 2.6.0
bitpos; -3; readonly; bitmap read slow; 1 1 1; index 1 range 0 1 0 RO access;; bitmap; 2.8.7
blmove; 6; blocking denyoom noscript write; blocking list slow write; 1 2 1; index 1 range 0 1 0 RW access delete, index 2 range 0 1 0 RW insert;; list; 6.2.0
blmpop; -5; blocking movablekeys write; blocking list slow write;; index 2 keynum 0 1 1 RW access delete;; list; 7.0.0
blpop; -3; blocking noscript write; blocking list slow write; 1 -2 1; index 1 range -2 1 0 RW access delete;; list; 2.0.0
brpop; -3; blocking noscript write; blocking list slow write; 1 -2 1; index 1 range -2 1 0 RW access delete;; list; 2.0.0
brpoplpush; 4; blocking denyoom noscript write; blocking list slow write; 1 2 1; index 1 range 0 1 0 RW access delete, index 2 range 0 1 0 RW insert;; list; 2.2.0
bzmpop; -5; blocking movablekeys write; blocking slow sortedset write;; index 2 keynum 0 1 1 RW access delete;; sorted-set; 7.0.0
bzpopmax; -3; blocking fast noscript write; blocking fast sortedset write; 1 -2 1; index 1 range -2 1 0 RW access delete;; sorted-set; 5.0.0
bzpopmin; -3; blocking fast noscript write; blocking fast sortedset write; 1 -2 1; index 1 range -2 1 0 RW access delete;; sorted-set; 5.0.0
client; -2;; slow;;;; connection; 2.4.0
client|caching; 3; loading noscript stale; connection slow;;;; connection; 6.0.0
client|getname; 2; loading noscript stale; connection slow;;;; connection; 2.6.9
client|getredir; 2; loading noscript stale; connection slow;;;; connection; 6.0.0
client|help; 2; loading stale; connection slow;;;; connection; 5.0.0
client|id; 2; loading noscript stale; connection slow;;;; connection; 5.0.0
client|info; 2; loading noscript stale; connection slow;;; nondeterministic_output; connection; 6.2.0
client|kill; -3; admin loading noscript stale; admin connection dangerous slow;;;; connection; 2.4.0
client|list; -2; admin loading noscript stale; admin connection dangerous slow;;; nondeterministic_output; connection; 2.4.0
client|no-evict; 3; admin loading noscript stale; admin connection dangerous slow;;;; connection; 7.0.0
client|pause; -3; admin loading noscript stale; admin connection dangerous slow;;;; connection; 2.9.50
client|reply; 3; loading noscript stale; connection slow;;;; connection; 3.2.0
client|setname; 3; loading noscript stale; connection slow;;;; connection; 2.6.9
client|tracking; -3; loading noscript stale; connection slow;;;; connection; 6.0.0
client|trackinginfo; 2; loading noscript stale; connection slow;;;; connection; 6.2.0
client|unblock; -3; admin loading noscript stale; admin connection dangerous slow;;;; connection; 5.0.0
client|unpause; 2; admin loading noscript stale; admin connection dangerous slow;;;; connection; 6.2.0
cluster; -2;; slow;;;; cluster; 3.0.0
cluster|addslots; -3; admin no_async_loading stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|addslotsrange; -4; admin no_async_loading stale; admin dangerous slow;;;; cluster; 7.0.0
cluster|bumpepoch; 2; admin no_async_loading stale; admin dangerous slow;;; nondeterministic_output; cluster; 3.0.0
cluster|count-failure-reports; 3; admin stale; admin dangerous slow;;; nondeterministic_output; cluster; 3.0.0
cluster|countkeysinslot; 3; stale; slow;;;; cluster; 3.0.0
cluster|delslots; -3; admin no_async_loading stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|delslotsrange; -4; admin no_async_loading stale; admin dangerous slow;;;; cluster; 7.0.0
cluster|failover; -2; admin no_async_loading stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|flushslots; 2; admin no_async_loading stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|forget; 3; admin no_async_loading stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|getkeysinslot; 4; stale; slow;;; nondeterministic_output; cluster; 3.0.0
cluster|help; 2; loading stale; slow;;;; cluster; 5.0.0
cluster|info; 2; stale; slow;;; nondeterministic_output; cluster; 3.0.0
cluster|keyslot; 3; stale; slow;;;; cluster; 3.0.0
cluster|links; 2; stale; slow;;; nondeterministic_output; cluster; 7.0.0
cluster|meet; -4; admin no_async_loading stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|myid; 2; stale; slow;;;; cluster; 3.0.0
cluster|nodes; 2; stale; slow;;; nondeterministic_output; cluster; 3.0.0
cluster|replicas; 3; admin stale; admin dangerous slow;;; nondeterministic_output; cluster; 5.0.0
cluster|replicate; 3; admin no_async_loading stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|reset; -2; admin noscript stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|saveconfig; 2; admin no_async_loading stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|set-config-epoch; 3; admin no_async_loading stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|setslot; -4; admin no_async_loading stale; admin dangerous slow;;;; cluster; 3.0.0
cluster|shards; 2; stale; slow;;; nondeterministic_output; cluster; 7.0.0
cluster|slaves; 3; admin stale; admin dangerous slow;;; nondeterministic_output; cluster; 3.0.0
cluster|slots; 2; stale; slow;;; nondeterministic_output; cluster; 3.0.0
command; -1; loading stale; connection slow;;; nondeterministic_output_order; server; 2.8.13
command|count; 2; loading stale; connection slow;;;; server; 2.8.13
command|docs; -2; loading stale; connection slow;;; nondeterministic_output_order; server; 7.0.0
command|getkeys; -4; loading stale; connection slow;;;; server; 2.8.13
command|getkeysandflags; -4; loading stale; connection slow;;;; server; 7.0.0
command|help; 2; loading stale; connection slow;;;; server; 5.0.0
command|info; -2; loading stale; connection slow;;; nondeterministic_output_order; server; 2.8.13
command|list; -2; loading stale; connection slow;;; nondeterministic_output_order; server; 7.0.0
config; -2;; slow;;;; server; 2.0.0
config|get; -3; admin loading noscript stale; admin dangerous slow;;;; server; 2.0.0
config|help; 2; loading stale; slow;;;; server; 5.0.0
config|resetstat; 2; admin loading noscript stale; admin dangerous slow;;;; server; 2.0.0
config|rewrite; 2; admin loading noscript stale; admin dangerous slow;;;; server; 2.8.0
config|set; -4; admin loading noscript stale; admin dangerous slow;;; request_policy:all_nodes response_policy:all_succeeded; server; 2.0.0
copy; -3; denyoom write; keyspace slow write; 1 2 1; index 1 range 0 1 0 RO access, index 2 range 0 1 0 OW update;; generic; 6.2.0
dbsize; 1; fast readonly; fast keyspace read;;; request_policy:all_shards response_policy:agg_sum; server; 1.0.0
debug; -2; admin loading noscript stale; admin dangerous slow;;;; server; 1.0.0
decr; 2; denyoom fast write; fast string write; 1 1 1; index 1 range 0 1 0 RW access update;; string; 1.0.0
decrby; 3; denyoom fast write; fast string write; 1 1 1; index 1 range 0 1 0 RW access update;; string; 1.0.0
del; -2; write; keyspace slow write; 1 -1 1; index 1 range -1 1 0 RM delete; request_policy:multi_shard response_policy:agg_sum; generic; 1.0.0
discard; 1; allow_busy fast loading noscript stale; fast transaction;;;; transactions; 2.0.0
dump; 2; readonly; keyspace read slow; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output; generic; 2.6.0
echo; 2; fast loading stale; connection fast;;;; connection; 1.0.0
eval; -3; movablekeys no_mandatory_keys noscript skip_monitor stale; scripting slow;; index 2 keynum 0 1 1 RW access update;; scripting; 2.6.0
eval_ro; -3; movablekeys no_mandatory_keys noscript readonly skip_monitor stale; scripting slow;; index 2 keynum 0 1 1 RO access;; scripting; 7.0.0
evalsha; -3; movablekeys no_mandatory_keys noscript skip_monitor stale; scripting slow;; index 2 keynum 0 1 1 RW access update;; scripting; 2.6.0
evalsha_ro; -3; movablekeys no_mandatory_keys noscript readonly skip_monitor stale; scripting slow;; index 2 keynum 0 1 1 RO access;; scripting; 7.0.0
exec; 1; loading noscript skip_slowlog stale; slow transaction;;;; transactions; 1.2.0
exists; -2; fast readonly; fast keyspace read; 1 -1 1; index 1 range -1 1 0 RO; request_policy:multi_shard response_policy:agg_sum; generic; 1.0.0
expire; -3; fast write; fast keyspace write; 1 1 1; index 1 range 0 1 0 RW update;; generic; 1.0.0
expireat; -3; fast write; fast keyspace write; 1 1 1; index 1 range 0 1 0 RW update;; generic; 1.2.0
expiretime; 2; fast readonly; fast keyspace read; 1 1 1; index 1 range 0 1 0 RO access;; generic; 7.0.0
failover; -1; admin noscript stale; admin dangerous slow;;;; server; 6.2.0
fcall; -3; movablekeys no_mandatory_keys noscript skip_monitor stale; scripting slow;; index 2 keynum 0 1 1 RW access update;; scripting; 7.0.0
fcall_ro; -3; movablekeys no_mandatory_keys noscript readonly skip_monitor stale; scripting slow;; index 2 keynum 0 1 1 RO access;; scripting; 7.0.0
flushall; -1; write; dangerous keyspace slow write;;; request_policy:all_shards response_policy:all_succeeded; server; 1.0.0
flushdb; -1; write; dangerous keyspace slow write;;; request_policy:all_shards response_policy:all_succeeded; server; 1.0.0
function; -2;; slow;;;; scripting; 7.0.0
function|delete; 3; noscript write; scripting slow write;;; request_policy:all_shards response_policy:all_succeeded; scripting; 7.0.0
function|dump; 2; noscript; scripting slow;;;; scripting; 7.0.0
function|flush; -2; noscript write; scripting slow write;;; request_policy:all_shards response_policy:all_succeeded; scripting; 7.0.0
function|help; 2; loading stale; scripting slow;;;; scripting; 7.0.0
function|kill; 2; allow_busy noscript; scripting slow;;; request_policy:all_shards response_policy:one_succeeded; scripting; 7.0.0
function|list; -2; noscript; scripting slow;;; nondeterministic_output_order; scripting; 7.0.0
function|load; -3; denyoom noscript write; scripting slow write;;; request_policy:all_shards response_policy:all_succeeded; scripting; 7.0.0
function|restore; -3; denyoom noscript write; scripting slow write;;; request_policy:all_shards response_policy:all_succeeded; scripting; 7.0.0
function|stats; 2; allow_busy noscript; scripting slow;;; nondeterministic_output request_policy:all_shards response_policy:special; scripting; 7.0.0
geoadd; -5; denyoom write; geo slow write; 1 1 1; index 1 range 0 1 0 RW update;; geo; 3.2.0
geodist; -4; readonly; geo read slow; 1 1 1; index 1 range 0 1 0 RO access;; geo; 3.2.0
geohash; -2; readonly; geo read slow; 1 1 1; index 1 range 0 1 0 RO access;; geo; 3.2.0
geopos; -2; readonly; geo read slow; 1 1 1; index 1 range 0 1 0 RO access;; geo; 3.2.0
georadius; -6; denyoom movablekeys write; geo slow write; 1 1 1; index 1 range 0 1 0 RO access, keyword STORE 6 range 0 1 0 OW update, keyword STOREDIST 6 range 0 1 0 OW update;; geo; 3.2.0
georadius_ro; -6; readonly; geo read slow; 1 1 1; index 1 range 0 1 0 RO access;; geo; 3.2.10
georadiusbymember; -5; denyoom movablekeys write; geo slow write; 1 1 1; index 1 range 0 1 0 RO access, keyword STORE 5 range 0 1 0 OW update, keyword STOREDIST 5 range 0 1 0 OW update;; geo; 3.2.0
georadiusbymember_ro; -5; readonly; geo read slow; 1 1 1; index 1 range 0 1 0 RO access;; geo; 3.2.10
geosearch; -7; readonly; geo read slow; 1 1 1; index 1 range 0 1 0 RO access;; geo; 6.2.0
geosearchstore; -8; denyoom write; geo slow write; 1 2 1; index 1 range 0 1 0 OW update, index 2 range 0 1 0 RO access;; geo; 6.2.0
get; 2; fast readonly; fast read string; 1 1 1; index 1 range 0 1 0 RO access;; string; 1.0.0
getbit; 3; fast readonly; bitmap fast read; 1 1 1; index 1 range 0 1 0 RO access;; bitmap; 2.2.0
getdel; 2; fast write; fast string write; 1 1 1; index 1 range 0 1 0 RW access delete;; string; 6.2.0
getex; -2; fast write; fast string write; 1 1 1; index 1 range 0 1 0 RW access update;; string; 6.2.0
getrange; 4; readonly; read slow string; 1 1 1; index 1 range 0 1 0 RO access;; string; 2.4.0
getset; 3; denyoom fast write; fast string write; 1 1 1; index 1 range 0 1 0 RW access update;; string; 1.0.0
hdel; -3; fast write; fast hash write; 1 1 1; index 1 range 0 1 0 RW delete;; hash; 2.0.0
hello; -1; allow_busy fast loading no_auth noscript stale; connection fast;;;; connection; 6.0.0
hexists; 3; fast readonly; fast hash read; 1 1 1; index 1 range 0 1 0 RO;; hash; 2.0.0
hget; 3; fast readonly; fast hash read; 1 1 1; index 1 range 0 1 0 RO access;; hash; 2.0.0
hgetall; 2; readonly; hash read slow; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output_order; hash; 2.0.0
hincrby; 4; denyoom fast write; fast hash write; 1 1 1; index 1 range 0 1 0 RW access update;; hash; 2.0.0
hincrbyfloat; 4; denyoom fast write; fast hash write; 1 1 1; index 1 range 0 1 0 RW access update;; hash; 2.6.0
hkeys; 2; readonly; hash read slow; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output_order; hash; 2.0.0
hlen; 2; fast readonly; fast hash read; 1 1 1; index 1 range 0 1 0 RO;; hash; 2.0.0
hmget; -3; fast readonly; fast hash read; 1 1 1; index 1 range 0 1 0 RO access;; hash; 2.0.0
hmset; -4; denyoom fast write; fast hash write; 1 1 1; index 1 range 0 1 0 RW update;; hash; 2.0.0
hrandfield; -2; readonly; hash read slow; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output; hash; 6.2.0
hscan; -3; readonly; hash read slow; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output; hash; 2.8.0
hset; -4; denyoom fast write; fast hash write; 1 1 1; index 1 range 0 1 0 RW update;; hash; 2.0.0
hsetnx; 4; denyoom fast write; fast hash write; 1 1 1; index 1 range 0 1 0 RW insert;; hash; 2.0.0
hstrlen; 3; fast readonly; fast hash read; 1 1 1; index 1 range 0 1 0 RO;; hash; 3.2.0
hvals; 2; readonly; hash read slow; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output_order; hash; 2.0.0
incr; 2; denyoom fast write; fast string write; 1 1 1; index 1 range 0 1 0 RW access update;; string; 1.0.0
incrby; 3; denyoom fast write; fast string write; 1 1 1; index 1 range 0 1 0 RW access update;; string; 1.0.0
incrbyfloat; 3; denyoom fast write; fast string write; 1 1 1; index 1 range 0 1 0 RW access update;; string; 2.6.0
info; -1; loading stale; dangerous slow;;; nondeterministic_output request_policy:all_shards response_policy:special; server; 1.0.0
keys; 2; readonly; dangerous keyspace read slow;;; request_policy:all_shards nondeterministic_output_order; generic; 1.0.0
lastsave; 1; fast loading stale; admin dangerous fast;;; nondeterministic_output; server; 1.0.0
latency; -2;; slow;;;; server; 2.8.13
latency|doctor; 2; admin loading noscript stale; admin dangerous slow;;; nondeterministic_output request_policy:all_nodes response_policy:special; server; 2.8.13
latency|graph; 3; admin loading noscript stale; admin dangerous slow;;; nondeterministic_output request_policy:all_nodes response_policy:special; server; 2.8.13
latency|help; 2; loading stale; slow;;;; server; 2.8.13
latency|histogram; -2; admin loading noscript stale; admin dangerous slow;;; nondeterministic_output request_policy:all_nodes response_policy:special; server; 7.0.0
latency|history; 3; admin loading noscript stale; admin dangerous slow;;; nondeterministic_output request_policy:all_nodes response_policy:special; server; 2.8.13
latency|latest; 2; admin loading noscript stale; admin dangerous slow;;; nondeterministic_output request_policy:all_nodes response_policy:special; server; 2.8.13
latency|reset; -2; admin loading noscript stale; admin dangerous slow;;; request_policy:all_nodes response_policy:all_succeeded; server; 2.8.13
lcs; -3; readonly; read slow string; 1 2 1; index 1 range 1 1 0 RO access;; string; 7.0.0
lindex; 3; readonly; list read slow; 1 1 1; index 1 range 0 1 0 RO access;; list; 1.0.0
linsert; 5; denyoom write; list slow write; 1 1 1; index 1 range 0 1 0 RW insert;; list; 2.2.0
llen; 2; fast readonly; fast list read; 1 1 1; index 1 range 0 1 0 RO;; list; 1.0.0
lmove; 5; denyoom write; list slow write; 1 2 1; index 1 range 0 1 0 RW access delete, index 2 range 0 1 0 RW insert;; list; 6.2.0
lmpop; -4; movablekeys write; list slow write;; index 1 keynum 0 1 1 RW access delete;; list; 7.0.0
lolwut; -1; fast readonly; fast read;;;; server; 5.0.0
lpop; -2; fast write; fast list write; 1 1 1; index 1 range 0 1 0 RW access delete;; list; 1.0.0
lpos; -3; readonly; list read slow; 1 1 1; index 1 range 0 1 0 RO access;; list; 6.0.6
lpush; -3; denyoom fast write; fast list write; 1 1 1; index 1 range 0 1 0 RW insert;; list; 1.0.0
lpushx; -3; denyoom fast write; fast list write; 1 1 1; index 1 range 0 1 0 RW insert;; list; 2.2.0
lrange; 4; readonly; list read slow; 1 1 1; index 1 range 0 1 0 RO access;; list; 1.0.0
lrem; 4; write; list slow write; 1 1 1; index 1 range 0 1 0 RW delete;; list; 1.0.0
lset; 4; denyoom write; list slow write; 1 1 1; index 1 range 0 1 0 RW update;; list; 1.0.0
ltrim; 4; write; list slow write; 1 1 1; index 1 range 0 1 0 RW delete;; list; 1.0.0
memory; -2;; slow;;;; server; 4.0.0
memory|doctor; 2;; slow;;; nondeterministic_output request_policy:all_shards response_policy:special; server; 4.0.0
memory|help; 2; loading stale; slow;;;; server; 4.0.0
memory|malloc-stats; 2;; slow;;; nondeterministic_output request_policy:all_shards response_policy:special; server; 4.0.0
memory|purge; 2;; slow;;; request_policy:all_shards response_policy:all_succeeded; server; 4.0.0
memory|stats; 2;; slow;;; nondeterministic_output request_policy:all_shards response_policy:special; server; 4.0.0
memory|usage; -3; readonly; read slow; 2 2 1; index 2 range 0 1 0 RO;; server; 4.0.0
mget; -2; fast readonly; fast read string; 1 -1 1; index 1 range -1 1 0 RO access; request_policy:multi_shard; string; 1.0.0
migrate; -6; movablekeys write; dangerous keyspace slow write; 3 3 1; index 3 range 0 1 0 RW access delete, keyword KEYS -2 range -1 1 0 RW access delete incomplete; nondeterministic_output; generic; 2.6.0
module; -2;; slow;;;; server; 4.0.0
module|help; 2; loading stale; slow;;;; server; 5.0.0
module|list; 2; admin noscript; admin dangerous slow;;; nondeterministic_output_order; server; 4.0.0
module|load; -3; admin no_async_loading noscript; admin dangerous slow;;;; server; 4.0.0
module|loadex; -3; admin no_async_loading noscript; admin dangerous slow;;;; server; 7.0.0
module|unload; 3; admin no_async_loading noscript; admin dangerous slow;;;; server; 4.0.0
monitor; 1; admin loading noscript stale; admin dangerous slow;;;; server; 1.0.0
move; 3; fast write; fast keyspace write; 1 1 1; index 1 range 0 1 0 RW access update;; generic; 1.0.0
mset; -3; denyoom write; slow string write; 1 -1 2; index 1 range -1 2 0 OW update; request_policy:multi_shard response_policy:all_succeeded; string; 1.0.1
msetnx; -3; denyoom write; slow string write; 1 -1 2; index 1 range -1 2 0 OW insert; request_policy:multi_shard response_policy:agg_min; string; 1.0.1
multi; 1; allow_busy fast loading noscript stale; fast transaction;;;; transactions; 1.2.0
object; -2;; slow;;;; generic; 2.2.3
object|encoding; 3; readonly; keyspace read slow; 2 2 1; index 2 range 0 1 0 RO; nondeterministic_output; generic; 2.2.3
object|freq; 3; readonly; keyspace read slow; 2 2 1; index 2 range 0 1 0 RO; nondeterministic_output; generic; 4.0.0
object|help; 2; loading stale; keyspace slow;;;; generic; 6.2.0
object|idletime; 3; readonly; keyspace read slow; 2 2 1; index 2 range 0 1 0 RO; nondeterministic_output; generic; 2.2.3
object|refcount; 3; readonly; keyspace read slow; 2 2 1; index 2 range 0 1 0 RO; nondeterministic_output; generic; 2.2.3
persist; 2; fast write; fast keyspace write; 1 1 1; index 1 range 0 1 0 RW update;; generic; 2.2.0
pexpire; -3; fast write; fast keyspace write; 1 1 1; index 1 range 0 1 0 RW update;; generic; 2.6.0
pexpireat; -3; fast write; fast keyspace write; 1 1 1; index 1 range 0 1 0 RW update;; generic; 2.6.0
pexpiretime; 2; fast readonly; fast keyspace read; 1 1 1; index 1 range 0 1 0 RO access;; generic; 7.0.0
pfadd; -2; denyoom fast write; fast hyperloglog write; 1 1 1; index 1 range 0 1 0 RW insert;; hyperloglog; 2.8.9
pfcount; -2; readonly; hyperloglog read slow; 1 -1 1; index 1 range -1 1 0 RW access;; hyperloglog; 2.8.9
pfdebug; 3; admin denyoom write; admin dangerous hyperloglog slow write; 2 2 1; index 2 range 0 1 0 RW access;; hyperloglog; 2.8.9
pfmerge; -2; denyoom write; hyperloglog slow write; 1 -1 1; index 1 range 0 1 0 RW access insert, index 2 range -1 1 0 RO access;; hyperloglog; 2.8.9
pfselftest; 1; admin; admin dangerous hyperloglog slow;;;; hyperloglog; 2.8.9
ping; -1; fast; connection fast;;; request_policy:all_shards response_policy:all_succeeded; connection; 1.0.0
psetex; 4; denyoom write; slow string write; 1 1 1; index 1 range 0 1 0 OW update;; string; 2.6.0
psubscribe; -2; loading noscript pubsub stale; pubsub slow;;;; pubsub; 2.0.0
psync; -3; admin no_async_loading no_multi noscript; admin dangerous slow;;;; server; 2.8.0
pttl; 2; fast readonly; fast keyspace read; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output; generic; 2.6.0
publish; 3; fast loading pubsub stale; fast pubsub;;;; pubsub; 2.0.0
pubsub; -2;; slow;;;; pubsub; 2.8.0
pubsub|channels; -2; loading pubsub stale; pubsub slow;;;; pubsub; 2.8.0
pubsub|help; 2; loading stale; slow;;;; pubsub; 6.2.0
pubsub|numpat; 2; loading pubsub stale; pubsub slow;;;; pubsub; 2.8.0
pubsub|numsub; -2; loading pubsub stale; pubsub slow;;;; pubsub; 2.8.0
pubsub|shardchannels; -2; loading pubsub stale; pubsub slow;;;; pubsub; 7.0.0
pubsub|shardnumsub; -2; loading pubsub stale; pubsub slow;;;; pubsub; 7.0.0
punsubscribe; -1; loading noscript pubsub stale; pubsub slow;;;; pubsub; 2.0.0
quit; -1; allow_busy fast loading no_auth noscript stale; connection fast;;;; connection; 1.0.0
randomkey; 1; readonly; keyspace read slow;;; request_policy:all_shards nondeterministic_output; generic; 1.0.0
readonly; 1; fast loading stale; connection fast;;;; cluster; 3.0.0
readwrite; 1; fast loading stale; connection fast;;;; cluster; 3.0.0
rename; 3; write; keyspace slow write; 1 2 1; index 1 range 0 1 0 RW access delete, index 2 range 0 1 0 OW update;; generic; 1.0.0
renamenx; 3; fast write; fast keyspace write; 1 2 1; index 1 range 0 1 0 RW access delete, index 2 range 0 1 0 OW insert;; generic; 1.0.0
replconf; -1; admin allow_busy loading noscript stale; admin dangerous slow;;;; server; 3.0.0
replicaof; 3; admin no_async_loading noscript stale; admin dangerous slow;;;; server; 5.0.0
reset; 1; allow_busy fast loading no_auth noscript stale; connection fast;;;; connection; 6.2.0
restore-asking; -4; asking denyoom write; dangerous keyspace slow write; 1 1 1; index 1 range 0 1 0 OW update;; server; 3.0.0
restore; -4; denyoom write; dangerous keyspace slow write; 1 1 1; index 1 range 0 1 0 OW update;; generic; 2.6.0
role; 1; fast loading noscript stale; admin dangerous fast;;;; server; 2.8.12
rpop; -2; fast write; fast list write; 1 1 1; index 1 range 0 1 0 RW access delete;; list; 1.0.0
rpoplpush; 3; denyoom write; list slow write; 1 2 1; index 1 range 0 1 0 RW access delete, index 2 range 0 1 0 RW insert;; list; 1.2.0
rpush; -3; denyoom fast write; fast list write; 1 1 1; index 1 range 0 1 0 RW insert;; list; 1.0.0
rpushx; -3; denyoom fast write; fast list write; 1 1 1; index 1 range 0 1 0 RW insert;; list; 2.2.0
sadd; -3; denyoom fast write; fast set write; 1 1 1; index 1 range 0 1 0 RW insert;; set; 1.0.0
save; 1; admin no_async_loading no_multi noscript; admin dangerous slow;;;; server; 1.0.0
scan; -2; readonly; keyspace read slow;;; nondeterministic_output request_policy:special; generic; 2.8.0
scard; 2; fast readonly; fast read set; 1 1 1; index 1 range 0 1 0 RO;; set; 1.0.0
script; -2;; slow;;;; scripting; 2.6.0
script|debug; 3; noscript; scripting slow;;;; scripting; 3.2.0
script|exists; -3; noscript; scripting slow;;; request_policy:all_shards response_policy:agg_logical_and; scripting; 2.6.0
script|flush; -2; noscript; scripting slow;;; request_policy:all_nodes response_policy:all_succeeded; scripting; 2.6.0
script|help; 2; loading stale; scripting slow;;;; scripting; 5.0.0
script|kill; 2; allow_busy noscript; scripting slow;;; request_policy:all_shards response_policy:one_succeeded; scripting; 2.6.0
script|load; 3; noscript stale; scripting slow;;; request_policy:all_nodes response_policy:all_succeeded; scripting; 2.6.0
sdiff; -2; readonly; read set slow; 1 -1 1; index 1 range -1 1 0 RO access; nondeterministic_output_order; set; 1.0.0
sdiffstore; -3; denyoom write; set slow write; 1 -1 1; index 1 range 0 1 0 OW update, index 2 range -1 1 0 RO access;; set; 1.0.0
select; 2; fast loading stale; connection fast;;;; connection; 1.0.0
set; -3; denyoom write; slow string write; 1 1 1; index 1 range 0 1 0 RW access update variable_flags;; string; 1.0.0
setbit; 4; denyoom write; bitmap slow write; 1 1 1; index 1 range 0 1 0 RW access update;; bitmap; 2.2.0
setex; 4; denyoom write; slow string write; 1 1 1; index 1 range 0 1 0 OW update;; string; 2.0.0
setnx; 3; denyoom fast write; fast string write; 1 1 1; index 1 range 0 1 0 OW insert;; string; 1.0.0
setrange; 4; denyoom write; slow string write; 1 1 1; index 1 range 0 1 0 RW update;; string; 2.2.0
shutdown; -1; admin allow_busy loading no_multi noscript stale; admin dangerous slow;;;; server; 1.0.0
sinter; -2; readonly; read set slow; 1 -1 1; index 1 range -1 1 0 RO access; nondeterministic_output_order; set; 1.0.0
sintercard; -3; movablekeys readonly; read set slow;; index 1 keynum 0 1 1 RO access;; set; 7.0.0
sinterstore; -3; denyoom write; set slow write; 1 -1 1; index 1 range 0 1 0 RW update, index 2 range -1 1 0 RO access;; set; 1.0.0
sismember; 3; fast readonly; fast read set; 1 1 1; index 1 range 0 1 0 RO;; set; 1.0.0
slaveof; 3; admin no_async_loading noscript stale; admin dangerous slow;;;; server; 1.0.0
slowlog; -2;; slow;;;; server; 2.2.12
slowlog|get; -2; admin loading stale; admin dangerous slow;;; request_policy:all_nodes nondeterministic_output; server; 2.2.12
slowlog|help; 2; loading stale; slow;;;; server; 6.2.0
slowlog|len; 2; admin loading stale; admin dangerous slow;;; request_policy:all_nodes response_policy:agg_sum nondeterministic_output; server; 2.2.12
slowlog|reset; 2; admin loading stale; admin dangerous slow;;; request_policy:all_nodes response_policy:all_succeeded; server; 2.2.12
smembers; 2; readonly; read set slow; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output_order; set; 1.0.0
smismember; -3; fast readonly; fast read set; 1 1 1; index 1 range 0 1 0 RO access;; set; 6.2.0
smove; 4; fast write; fast set write; 1 2 1; index 1 range 0 1 0 RW access delete, index 2 range 0 1 0 RW insert;; set; 1.0.0
sort; -2; denyoom movablekeys write; dangerous list set slow sortedset write; 1 1 1; index 1 range 0 1 0 RO access, unknown unknown RO access, unknown unknown OW update;; generic; 1.0.0
sort_ro; -2; movablekeys readonly; dangerous list read set slow sortedset; 1 1 1; index 1 range 0 1 0 RO access, unknown unknown RO access;; generic; 7.0.0
spop; -2; fast write; fast set write; 1 1 1; index 1 range 0 1 0 RW access delete; nondeterministic_output; set; 1.0.0
spublish; 3; fast loading pubsub stale; fast pubsub; 1 1 1; index 1 range 0 1 0 not_key;; pubsub; 7.0.0
srandmember; -2; readonly; read set slow; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output; set; 1.0.0
srem; -3; fast write; fast set write; 1 1 1; index 1 range 0 1 0 RW delete;; set; 1.0.0
sscan; -3; readonly; read set slow; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output; set; 2.8.0
ssubscribe; -2; loading noscript pubsub stale; pubsub slow; 1 -1 1; index 1 range -1 1 0 not_key;; pubsub; 7.0.0
strlen; 2; fast readonly; fast read string; 1 1 1; index 1 range 0 1 0 RO;; string; 2.2.0
subscribe; -2; loading noscript pubsub stale; pubsub slow;;;; pubsub; 2.0.0
substr; 4; readonly; read slow string; 1 1 1; index 1 range 0 1 0 RO access;; string; 1.0.0
sunion; -2; readonly; read set slow; 1 -1 1; index 1 range -1 1 0 RO access; nondeterministic_output_order; set; 1.0.0
sunionstore; -3; denyoom write; set slow write; 1 -1 1; index 1 range 0 1 0 OW update, index 2 range -1 1 0 RO access;; set; 1.0.0
sunsubscribe; -1; loading noscript pubsub stale; pubsub slow; 1 -1 1; index 1 range -1 1 0 not_key;; pubsub; 7.0.0
swapdb; 3; fast write; dangerous fast keyspace write;;;; server; 4.0.0
sync; 1; admin no_async_loading no_multi noscript; admin dangerous slow;;;; server; 1.0.0
time; 1; fast loading stale; fast;;; nondeterministic_output; server; 2.6.0
touch; -2; fast readonly; fast keyspace read; 1 -1 1; index 1 range -1 1 0 RO; request_policy:multi_shard response_policy:agg_sum; generic; 3.2.1
ttl; 2; fast readonly; fast keyspace read; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output; generic; 1.0.0
type; 2; fast readonly; fast keyspace read; 1 1 1; index 1 range 0 1 0 RO;; generic; 1.0.0
unlink; -2; fast write; fast keyspace write; 1 -1 1; index 1 range -1 1 0 RM delete; request_policy:multi_shard response_policy:agg_sum; generic; 4.0.0
unsubscribe; -1; loading noscript pubsub stale; pubsub slow;;;; pubsub; 2.0.0
unwatch; 1; allow_busy fast loading noscript stale; fast transaction;;;; transactions; 2.2.0
wait; 3; noscript; connection slow;;; request_policy:all_shards response_policy:agg_min; generic; 3.0.0
watch; -2; allow_busy fast loading noscript stale; fast transaction; 1 -1 1; index 1 range -1 1 0 RO;; transactions; 2.2.0
xack; -4; fast write; fast stream write; 1 1 1; index 1 range 0 1 0 RW update;; stream; 5.0.0
xadd; -5; denyoom fast write; fast stream write; 1 1 1; index 1 range 0 1 0 RW update; nondeterministic_output; stream; 5.0.0
xautoclaim; -6; fast write; fast stream write; 1 1 1; index 1 range 0 1 0 RW delete; nondeterministic_output; stream; 6.2.0
xclaim; -6; fast write; fast stream write; 1 1 1; index 1 range 0 1 0 RW update; nondeterministic_output; stream; 5.0.0
xdel; -3; fast write; fast stream write; 1 1 1; index 1 range 0 1 0 RW delete;; stream; 5.0.0
xgroup; -2;; slow;;;; stream; 5.0.0
xgroup|create; -5; denyoom write; slow stream write; 2 2 1; index 2 range 0 1 0 RW insert;; stream; 5.0.0
xgroup|createconsumer; 5; denyoom write; slow stream write; 2 2 1; index 2 range 0 1 0 RW insert;; stream; 6.2.0
xgroup|delconsumer; 5; write; slow stream write; 2 2 1; index 2 range 0 1 0 RW delete;; stream; 5.0.0
xgroup|destroy; 4; write; slow stream write; 2 2 1; index 2 range 0 1 0 RW delete;; stream; 5.0.0
xgroup|help; 2; loading stale; slow stream;;;; stream; 5.0.0
xgroup|setid; -5; write; slow stream write; 2 2 1; index 2 range 0 1 0 RW update;; stream; 5.0.0
xinfo; -2;; slow;;;; stream; 5.0.0
xinfo|consumers; 4; readonly; read slow stream; 2 2 1; index 2 range 0 1 0 RO access; nondeterministic_output; stream; 5.0.0
xinfo|groups; 3; readonly; read slow stream; 2 2 1; index 2 range 0 1 0 RO access;; stream; 5.0.0
xinfo|help; 2; loading stale; slow stream;;;; stream; 5.0.0
xinfo|stream; -3; readonly; read slow stream; 2 2 1; index 2 range 0 1 0 RO access;; stream; 5.0.0
xlen; 2; fast readonly; fast read stream; 1 1 1; index 1 range 0 1 0 RO;; stream; 5.0.0
xpending; -3; readonly; read slow stream; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output; stream; 5.0.0
xrange; -4; readonly; read slow stream; 1 1 1; index 1 range 0 1 0 RO access;; stream; 5.0.0
xread; -4; blocking movablekeys readonly; blocking read slow stream;; keyword STREAMS 1 range -1 1 2 RO access;; stream; 5.0.0
xreadgroup; -7; blocking movablekeys write; blocking slow stream write;; keyword STREAMS 4 range -1 1 2 RO access;; stream; 5.0.0
xrevrange; -4; readonly; read slow stream; 1 1 1; index 1 range 0 1 0 RO access;; stream; 5.0.0
xsetid; -3; denyoom fast write; fast stream write; 1 1 1; index 1 range 0 1 0 RW update;; stream; 5.0.0
xtrim; -4; write; slow stream write; 1 1 1; index 1 range 0 1 0 RW delete; nondeterministic_output; stream; 5.0.0
zadd; -4; denyoom fast write; fast sortedset write; 1 1 1; index 1 range 0 1 0 RW update;; sorted-set; 1.2.0
zcard; 2; fast readonly; fast read sortedset; 1 1 1; index 1 range 0 1 0 RO;; sorted-set; 1.2.0
zcount; 4; fast readonly; fast read sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 2.0.0
zdiff; -3; movablekeys readonly; read slow sortedset;; index 1 keynum 0 1 1 RO access;; sorted-set; 6.2.0
zdiffstore; -4; denyoom movablekeys write; slow sortedset write; 1 1 1; index 1 range 0 1 0 OW update, index 2 keynum 0 1 1 RO access;; sorted-set; 6.2.0
zincrby; 4; denyoom fast write; fast sortedset write; 1 1 1; index 1 range 0 1 0 RW access update;; sorted-set; 1.2.0
zinter; -3; movablekeys readonly; read slow sortedset;; index 1 keynum 0 1 1 RO access;; sorted-set; 6.2.0
zintercard; -3; movablekeys readonly; read slow sortedset;; index 1 keynum 0 1 1 RO access;; sorted-set; 7.0.0
zinterstore; -4; denyoom movablekeys write; slow sortedset write; 1 1 1; index 1 range 0 1 0 OW update, index 2 keynum 0 1 1 RO access;; sorted-set; 2.0.0
zlexcount; 4; fast readonly; fast read sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 2.8.9
zmpop; -4; movablekeys write; slow sortedset write;; index 1 keynum 0 1 1 RW access delete;; sorted-set; 7.0.0
zmscore; -3; fast readonly; fast read sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 6.2.0
zpopmax; -2; fast write; fast sortedset write; 1 1 1; index 1 range 0 1 0 RW access delete;; sorted-set; 5.0.0
zpopmin; -2; fast write; fast sortedset write; 1 1 1; index 1 range 0 1 0 RW access delete;; sorted-set; 5.0.0
zrandmember; -2; readonly; read slow sortedset; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output; sorted-set; 6.2.0
zrange; -4; readonly; read slow sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 1.2.0
zrangebylex; -4; readonly; read slow sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 2.8.9
zrangebyscore; -4; readonly; read slow sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 1.0.5
zrangestore; -5; denyoom write; slow sortedset write; 1 2 1; index 1 range 0 1 0 OW update, index 2 range 0 1 0 RO access;; sorted-set; 6.2.0
zrank; 3; fast readonly; fast read sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 2.0.0
zrem; -3; fast write; fast sortedset write; 1 1 1; index 1 range 0 1 0 RW delete;; sorted-set; 1.2.0
zremrangebylex; 4; write; slow sortedset write; 1 1 1; index 1 range 0 1 0 RW delete;; sorted-set; 2.8.9
zremrangebyrank; 4; write; slow sortedset write; 1 1 1; index 1 range 0 1 0 RW delete;; sorted-set; 2.0.0
zremrangebyscore; 4; write; slow sortedset write; 1 1 1; index 1 range 0 1 0 RW delete;; sorted-set; 1.2.0
zrevrange; -4; readonly; read slow sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 1.2.0
zrevrangebylex; -4; readonly; read slow sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 2.8.9
zrevrangebyscore; -4; readonly; read slow sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 2.2.0
zrevrank; 3; fast readonly; fast read sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 2.0.0
zscan; -3; readonly; read slow sortedset; 1 1 1; index 1 range 0 1 0 RO access; nondeterministic_output; sorted-set; 2.8.0
zscore; 3; fast readonly; fast read sortedset; 1 1 1; index 1 range 0 1 0 RO access;; sorted-set; 1.2.0
zunion; -3; movablekeys readonly; read slow sortedset;; index 1 keynum 0 1 1 RO access;; sorted-set; 6.2.0
zunionstore; -4; denyoom movablekeys write; slow sortedset write; 1 1 1; index 1 range 0 1 0 OW update, index 2 keynum 0 1 1 RO access;; sorted-set; 2.0.0
`;
