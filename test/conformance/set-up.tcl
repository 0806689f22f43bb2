# Stands in for tests/support/server.tcl: that file as it is, and then its set-up of a block of tests once more, with one
# difference. What the server refuses in it (FUNCTION FLUSH, CONFIG SET of an override), and of CONFIG SET between tests, is
# told as `set-up`, and the block is run without it; in the original it ends the unit. A block that ends in the middle,
# outside of a test, is told as `block`, and the unit goes on with the next one. And a test that failed leaves nothing on the
# connection to the one after it, and no script that runs.

source [file join $::env(SUITE_ROOT) tests support server.tcl]

# Runs a command of the set-up. Returns its reply, or an empty one where it was refused.
proc try_to_set_up {args} {
    if {[catch {r {*}$args} reply]} {
        tell_refusal $args $reply
        return {}
    }
    return $reply
}

proc tell_refusal {command reply} {
    send_data_packet $::test_server_fd set-up "$command: [lindex [split $reply "\n"] 0]"
}

# Replaces two procedures of the suite that are defined after this file, when the first block begins.
proc replace_procedures {} {
    if {[llength [info procs r_of_the_suite]] > 0} return

    # Sends a command.
    rename r r_of_the_suite
    proc r {args} {
        if {![catch {r_of_the_suite {*}$args} reply options]} {
            return $reply
        }
        if {$::cur_test eq "" && [string match -nocase "config set *" $args]} {
            tell_refusal $args $reply
            return {}
        }
        return -options $options $reply
    }

    # Runs a test. One that fails in the middle may leave the connection in MULTI, in RESP3, or with replies that nobody reads.
    rename test test_of_the_suite
    proc test {args} {
        set failed_before $::num_failed
        uplevel 1 [list test_of_the_suite {*}$args]
        if {$::num_failed > $failed_before && [llength $::servers] > 0} {
            set srv [lindex $::servers end]
            catch {[dict get $srv "client"] close}
            dict unset srv "client"
            lset ::servers end $srv
            reconnect
            # A test that fails before it kills its endless script would have all others fail.
            catch {r_of_the_suite script kill}
            catch {r_of_the_suite function kill}
            # As long as it is busy, a node takes no other command.
            for {set tries 0} {$tries < 50} {incr tries} {
                if {![catch {r_of_the_suite dbsize}]} break
                after 100
            }
        }
    }
}

proc run_external_server_test {code overrides} {
    replace_procedures
    set srv {}
    dict set srv "host" $::host
    dict set srv "port" $::port
    set client [redis $::host $::port 0 $::tls]
    dict set srv "client" $client
    if {!$::singledb} {
        $client select 9
    }

    set config {}
    dict set config "port" $::port
    dict set srv "config" $config
    lappend ::servers $srv

    try_to_set_up flushall
    try_to_set_up function flush

    set saved_config {}
    foreach {param val} $overrides {
        set saved [try_to_set_up config get $param]
        try_to_set_up config set $param $val
        if {[llength $saved] == 2} {
            dict set saved_config $param [lindex $saved 1]
        }
        if {$param == "appendonly" && $val == "yes"} {
            waitForBgrewriteaof r
        }
    }

    # The code stands where `start_server` was called, two levels up, as in the original.
    if {[catch {uplevel 2 $code} error]} {
        send_data_packet $::test_server_fd block "[lindex [split $error "\n"] 0]"
    }

    dict for {param val} $saved_config {
        try_to_set_up config set $param $val
    }

    set srv [lpop ::servers]
    if {[dict exists $srv "client"]} {
        [dict get $srv "client"] close
    }
}
