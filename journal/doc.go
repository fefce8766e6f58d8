// SPDX-License-Identifier: Apache-2.0

// Package journal keeps history: which policy was in force when, who held
// which prefix when, and what subscribers tried in each hour. What goes in is what
// the gateway does and counts, and what lease sources tell; what comes out answers a question about a moment in the past. It
// is one SQLite file. No payload goes in, ever.
//
// # What it may cost
//
// History is worth less than traffic. So nothing here blocks a caller, and
// nothing stops a gateway: what cannot be written waits in a queue, what does not
// fit there is lost and counted, and [Journal.Health] says so.
//
//	Hold, AddRecords, ... --> queue --> writer --> the file
//	                                                 |
//	HolderAt, Records, ... <-- readers <-------------+
//
// One goroutine writes: twice a second what has come, or at once when there is
// enough for a transaction. [Journal.Flush] waits for it. The file is in WAL mode
// with synchronous=NORMAL: what is written survives the end of the process,
// however it ends; a power cut may take the last seconds, never more.
//
// # How holdings are kept
//
// A holding is a prefix, its holder, the source that told, and from when to when.
// Two tables have them: held those that go on, history those that are over. Both
// are sorted by (shelf, first, began). A shelf is one source's prefixes of one
// length, so that a shelf holds no two that overlap; first is as much of the
// address as the length covers. Who had an address at a time is then a seek into
// each shelf, however long history is. Operators have some ten shelves.
//
// Times are kept in milliseconds. What is told is taken in the order in which it
// is told: a holding that says it began before the one that it ends is written as
// beginning right after that began. So nothing written is ever lost to a clock
// that went back or a message that came late, and the holdings of one prefix and
// source follow one another without overlap.
//
// # How records are kept
//
// A record is what one subscriber did in one hour: a [census.Record]. Its numbers
// are columns; its minutes and destinations are one blob, since nobody asks SQLite
// for them and a row each would have the key again. Records are sorted by
// hour, subscriber and pool. So an hour's are written side by side, a report reads
// from one to the other, and what is old is the beginning of the table; one
// subscriber's are a seek in each hour.
//
// Records come by the ten thousand once an hour. They wait in a queue of their own,
// and are written a thousand at a time, after the holdings that have come meanwhile.
//
// # How the present hour outlives a crash
//
// What is counted of an hour is handed on when the hour is over. Until then it is
// drafted every two minutes: written down whole, in place of the draft before. Parts of
// it would not do, since two numbers of different destinations do not add up. A draft
// is no record yet.
//
//   - A draft counts once it is whole; until then, the one before does.
//   - A record that is handed on takes the place of its draft in one transaction. So
//     each is in the file once, whenever the process ends.
//   - The draft of a process that is gone is adopted: added to the records, some rows
//     in one transaction. A process is gone if for ten minutes, on the watch of another
//     one that can write, nothing of it has changed. Clocks do not matter, and a
//     predecessor that hands on its own part in a succession is left to it.
//   - Whoever was stopped for so long, and finds its draft adopted, loses what else it
//     counts of that hour, rather than have it counted twice.
//
// A Journal and a Reader may be used by many goroutines at once.
package journal
