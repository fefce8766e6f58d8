// SPDX-License-Identifier: Apache-2.0

// Package lease knows who has an address. What goes in is what DHCP servers and
// access servers write down or send; what comes out is the holder of an address,
// and every change of holders for whoever keeps a history.
//
// It answers "who had it", never "is it dynamic": a source that is lost, late or
// full of rubbish makes the answers old, shows in [Book.Health], and changes
// nothing of what is refused.
//
//	dnsmasq, ISC dhcpd, Kea: [File] ----+
//	Kea's control socket: [KeaSocket] --+--> [Sink]: [Book] --> Options.OnChange
//	access servers: [RADIUS] -----------+               +-----> Lookup, Health
//
// # Two ways to bring news
//
// A source that learns of one lease says so at once ([Sink.Lease]). A source that
// reads a whole file or asks for everything says that it begins and that it is
// done ([Sink.Read]): what it named last of an address is what holds, what it did
// not name is over, and a reading that is broken off leaves everything as it was.
//
// # Hostile input
//
// Subscribers choose their host names and user names, and files are found half
// written, truncated and replaced. A line that makes no sense is skipped, counted
// and kept as a [Problem] with its file and line; lines, names and lists of
// problems are bounded; a file with more bad lines than good ones is not believed
// at all, and the last good state stays.
//
// A Book may be used by many goroutines at once. A source is run once at a time.
package lease
