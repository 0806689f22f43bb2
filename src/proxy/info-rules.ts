/**
 * THE table of INFO: how the figures of several servers become one server's, field by field. All fields of Redis 7.0 are in
 * it, and those that later versions added as far as they are known; one that is not is the first node's, unless its name says
 * that it is a quantity.
 *
 *   first     the first node's                              largest, smallest   of all nodes
 *   sum       added up                                      bound   the sum, but 0 (no bound) where one node has none
 *   own       the proxy knows better than the nodes         unless  the first value that is not the good one
 *   human, ratio   worked out again from other fields that were merged
 */

export interface InfoRule {
  readonly kind: 'first' | 'sum' | 'bound' | 'largest' | 'smallest' | 'own' | 'unless' | 'human' | 'ratio';
  /** `unless`: the good value. */
  readonly good?: string;
  /** `human`: the field in bytes. `ratio`: what is divided (a difference: two fields), and by what. */
  readonly of?: readonly string[];
  readonly by?: readonly string[];
  /** `ratio`: times a hundred, with a percent sign or without. */
  readonly percent?: '%' | '';
}

/** The rule for a field. */
export function infoRule(name: string): InfoRule {
  return RULES.get(name) ?? (QUANTITY.test(name) ? SUM : FIRST);
}

/** All fields that the table has a rule for. */
export function ruledFields(): Iterable<string> {
  return RULES.keys();
}

const FIRST: InfoRule = { kind: 'first' };
const SUM: InfoRule = { kind: 'sum' };
const BOUND: InfoRule = { kind: 'bound' };
const LARGEST: InfoRule = { kind: 'largest' };
const SMALLEST: InfoRule = { kind: 'smallest' };
const OWN: InfoRule = { kind: 'own' };

/** How names begin that are quantities in every version so far. */
const QUANTITY =
  /^(total_|instantaneous_|used_memory_|mem_|evicted_|expired_|acl_access_|io_threaded_|lazyfree|eventloop_)/;

const RULES: ReadonlyMap<string, InfoRule> = new Map([
  // Server. Uptime is how long all nodes have been counting.
  ...rule(FIRST, 'redis_version redis_git_sha1 redis_git_dirty redis_build_id os arch_bits monotonic_clock'),
  ...rule(
    FIRST,
    'multiplexing_api atomicvar_api gcc_version process_supervised hz configured_hz executable config_file',
  ),
  ...rule(OWN, 'redis_mode process_id run_id tcp_port'),
  ...rule(SMALLEST, 'uptime_in_seconds uptime_in_days shutdown_in_milliseconds'),
  ...rule(LARGEST, 'server_time_usec lru_clock io_threads_active'),

  // Clients: the nodes' are the proxy's own connections.
  ...rule(OWN, 'connected_clients maxclients tracking_clients'),
  ...rule(SUM, 'cluster_connections blocked_clients clients_in_timeout_table pubsub_clients'),
  ...rule(SUM, 'watching_clients total_watched_keys total_blocking_keys total_blocking_keys_on_nokey'),
  ...rule(LARGEST, 'client_recent_max_input_buffer client_recent_max_output_buffer'),

  // Memory. Scripts and functions are loaded on every node.
  ...rule(SUM, 'used_memory used_memory_rss used_memory_peak used_memory_overhead used_memory_startup'),
  ...rule(SUM, 'used_memory_dataset allocator_allocated allocator_active allocator_resident allocator_muzzy'),
  ...rule(SUM, 'total_system_memory used_memory_lua used_memory_vm_eval used_memory_scripts_eval'),
  ...rule(SUM, 'used_memory_vm_functions used_memory_vm_total used_memory_functions used_memory_scripts'),
  ...rule(SUM, 'allocator_frag_bytes allocator_rss_bytes rss_overhead_bytes mem_fragmentation_bytes'),
  ...rule(SUM, 'mem_not_counted_for_evict mem_replication_backlog mem_total_replication_buffers mem_clients_slaves'),
  ...rule(SUM, 'mem_clients_normal mem_cluster_links mem_aof_buffer lazyfree_pending_objects lazyfreed_objects'),
  ...rule(BOUND, 'maxmemory'),
  ...rule(LARGEST, 'number_of_cached_scripts number_of_functions number_of_libraries active_defrag_running'),
  ...rule(FIRST, 'maxmemory_policy mem_allocator'),
  ...humans('used_memory used_memory_rss used_memory_peak total_system_memory used_memory_lua used_memory_vm_total'),
  ...humans('used_memory_scripts maxmemory'),
  ...rule(percentOf('%', 'used_memory', 'used_memory_peak'), 'used_memory_peak_perc'),
  ...rule(percentOf('%', 'used_memory_dataset', 'used_memory used_memory_startup'), 'used_memory_dataset_perc'),
  ...rule(ratioOf('allocator_active', 'allocator_allocated'), 'allocator_frag_ratio'),
  ...rule(ratioOf('allocator_resident', 'allocator_active'), 'allocator_rss_ratio'),
  ...rule(ratioOf('used_memory_rss', 'allocator_resident'), 'rss_overhead_ratio'),
  ...rule(ratioOf('used_memory_rss', 'used_memory'), 'mem_fragmentation_ratio'),

  // Persistence: saved is what all have saved, failed is what failed anywhere. A client that reads loading:1 waits, and need
  // not while any node serves.
  ...rule(SMALLEST, 'loading async_loading'),
  ...rule(LARGEST, 'current_cow_size_age rdb_bgsave_in_progress rdb_last_bgsave_time_sec'),
  ...rule(LARGEST, 'rdb_current_bgsave_time_sec aof_rewrite_in_progress aof_rewrite_scheduled'),
  ...rule(LARGEST, 'aof_last_rewrite_time_sec aof_current_rewrite_time_sec aof_rewrites_consecutive_failures'),
  ...rule(LARGEST, 'module_fork_in_progress aof_pending_rewrite loading_eta_seconds'),
  ...rule(SMALLEST, 'rdb_last_save_time aof_enabled loading_start_time'),
  ...rule(SUM, 'current_cow_peak current_cow_size current_save_keys_processed current_save_keys_total'),
  ...rule(SUM, 'rdb_changes_since_last_save rdb_saves rdb_last_cow_size rdb_last_load_keys_expired'),
  ...rule(SUM, 'rdb_last_load_keys_loaded aof_rewrites aof_last_cow_size module_fork_last_cow_size aof_current_size'),
  ...rule(SUM, 'aof_base_size aof_buffer_length aof_pending_bio_fsync aof_delayed_fsync loading_total_bytes'),
  ...rule(SUM, 'loading_rdb_used_mem loading_loaded_bytes'),
  ...rule(unless('ok'), 'rdb_last_bgsave_status aof_last_bgrewrite_status aof_last_write_status'),
  ...rule(percentOf('', 'current_save_keys_processed', 'current_save_keys_total'), 'current_fork_perc'),
  ...rule(percentOf('', 'loading_loaded_bytes', 'loading_total_bytes'), 'loading_loaded_perc'),

  // Stats. Patterns are subscribed to on every node.
  ...rule(OWN, 'total_connections_received rejected_connections'),
  ...rule(SUM, 'total_commands_processed instantaneous_ops_per_sec total_net_input_bytes total_net_output_bytes'),
  ...rule(SUM, 'total_net_repl_input_bytes total_net_repl_output_bytes instantaneous_input_kbps'),
  ...rule(SUM, 'instantaneous_output_kbps instantaneous_input_repl_kbps instantaneous_output_repl_kbps'),
  ...rule(SUM, 'sync_full sync_partial_ok sync_partial_err expired_keys expired_subkeys'),
  ...rule(
    SUM,
    'expired_time_cap_reached_count expire_cycle_cpu_milliseconds evicted_keys evicted_clients evicted_scripts',
  ),
  ...rule(SUM, 'total_eviction_exceeded_time keyspace_hits keyspace_misses pubsub_channels pubsubshard_channels'),
  ...rule(SUM, 'total_forks migrate_cached_sockets slave_expires_tracked_keys active_defrag_hits active_defrag_misses'),
  ...rule(SUM, 'active_defrag_key_hits active_defrag_key_misses total_active_defrag_time tracking_total_keys'),
  // Who tracks a prefix does so on every node.
  ...rule(LARGEST, 'tracking_total_prefixes'),
  ...rule(SUM, 'tracking_total_items unexpected_error_replies total_error_replies'),
  ...rule(SUM, 'dump_payload_sanitizations total_reads_processed total_writes_processed io_threaded_reads_processed'),
  ...rule(SUM, 'io_threaded_writes_processed reply_buffer_shrinks reply_buffer_expands'),
  ...rule(SUM, 'client_query_buffer_limit_disconnections client_output_buffer_limit_disconnections'),
  ...rule(LARGEST, 'expired_stale_perc current_eviction_exceeded_time pubsub_patterns latest_fork_usec'),
  ...rule(LARGEST, 'current_active_defrag_time instantaneous_eventloop_duration_usec'),

  // Replication: a node that is a replica refuses writes, which should be seen.
  ...rule(unless('master'), 'role'),
  ...rule(unless('no-failover'), 'master_failover_state'),
  ...rule(unless('up'), 'master_link_status'),
  ...rule(FIRST, 'master_host master_port master_replid master_replid2 second_repl_offset slave_priority'),
  ...rule(FIRST, 'repl_backlog_first_byte_offset replica_announced'),
  ...rule(SUM, 'connected_slaves master_repl_offset slave_read_repl_offset slave_repl_offset repl_backlog_size'),
  ...rule(SUM, 'repl_backlog_histlen master_sync_total_bytes master_sync_read_bytes master_sync_left_bytes'),
  ...rule(LARGEST, 'master_last_io_seconds_ago master_sync_in_progress master_sync_last_io_seconds_ago'),
  ...rule(LARGEST, 'master_link_down_since_seconds slave_read_only repl_backlog_active'),
  ...rule(SMALLEST, 'min_slaves_good_slaves'),
  ...rule(percentOf('', 'master_sync_read_bytes', 'master_sync_total_bytes'), 'master_sync_perc'),

  // CPU
  ...rule(SUM, 'used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children'),
  ...rule(SUM, 'used_cpu_sys_main_thread used_cpu_user_main_thread'),

  // Cluster: the nodes form none, and clients are told that there is none.
  ...rule(OWN, 'cluster_enabled'),
]);

function rule(rule: InfoRule, names: string): [string, InfoRule][] {
  return names.split(' ').map((name) => [name, rule]);
}

function humans(names: string): [string, InfoRule][] {
  return names.split(' ').map((name) => [`${name}_human`, { kind: 'human', of: [name] }]);
}

function ratioOf(of: string, by: string): InfoRule {
  return { kind: 'ratio', of: of.split(' '), by: by.split(' ') };
}

function percentOf(percent: '%' | '', of: string, by: string): InfoRule {
  return { ...ratioOf(of, by), percent };
}

function unless(good: string): InfoRule {
  return { kind: 'unless', good };
}
