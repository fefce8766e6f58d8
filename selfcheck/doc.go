// SPDX-License-Identifier: Apache-2.0

// Package selfcheck serves subscribers one page about their own line: whether it may
// send to port 25, since when not or from when on no more, and how to set a mail
// program. It is the page that support names on the phone.
//
// In come connections from any [net.Listener], a kernel's or a netstack's, and what
// [Options].Line says of the address at the other end. Out goes the page in English or
// Japanese, or the same as plain text or JSON. Nothing is said about anybody else, and
// nothing is asked of the client but its address.
//
// # What a hostile client can do
//
// Whoever asks may be infected, and the page is served by the process that forwards
// everybody's packets. So all that a client can take is bounded:
//
//   - connections, in total and for each source: an IPv4 address or an IPv6 /64;
//   - a connection's life: 5 s for the header, 10 s for all, whatever is sent or read;
//   - octets: 4 KiB of header, one request for each connection, no body;
//   - how often, in total and for each source.
//
// When all places are taken, the one who comes takes the place of whoever has the
// most connections and has not finished asking. So a slow flood, from however many
// sources, costs an honest client at most a second. What is too much is closed before
// a byte is read; a source that only asks a little too often is told so (429).
//
// Nothing is logged for a request. What goes wrong is logged once a minute.
//
// A Server may be used by many goroutines at once.
package selfcheck
