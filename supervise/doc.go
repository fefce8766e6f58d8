// SPDX-License-Identifier: Apache-2.0

// Package supervise is the service manager of one program, on machines without
// systemd. What goes in is a command line; what comes out is that the program
// runs, is started again when it ends or hangs, and finds its file descriptors
// again when it comes back.
//
// It speaks systemd's own protocol, so that the program need not know which of
// the two it runs under: NOTIFY_SOCKET (sd_notify(3)) with READY, STOPPING,
// RELOADING, WATCHDOG, MAINPID, FDSTORE, FDSTOREREMOVE, FDNAME, FDPOLL and
// BARRIER; WATCHDOG_USEC (sd_watchdog_enabled(3)); LISTEN_FDS and
// LISTEN_FDNAMES (sd_listen_fds(3)).
//
// All state belongs to the goroutine in [Supervisor.Run], which waits in one
// poll(2) for everything there is to wait for:
//
//	signals --------> pipe ----+
//	the program's datagrams ---+--> poll --> one pass --> poll ...
//	the program's end: pidfd --+
//	stored descriptors --------+
//	the next deadline ---------+
//
// One pass takes things in an order that goroutines and channels would not keep:
// what the program said is read before its end is judged, so that the last words
// of a process that hands over and leaves are always heard.
//
// Run changes the whole process: it becomes the reaper of its orphaned
// descendants and reaps every child. No two may run in one process, and no other
// code there may wait for children.
package supervise
