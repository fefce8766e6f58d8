// SPDX-License-Identifier: Apache-2.0

// Package lab builds small networks out of network namespaces: two subscribers,
// the gateway under test, a router above it, and an internet with mail and web
// servers. `op25b demo` shows the gateway in one, and the end-to-end tests prove
// it in many. Nothing of the host's own network is touched: every link is made
// inside the namespaces, by netlink, without the ip command.
//
//	dynamic                     gateway                transit                 internet
//	100.64.0.2 eth0 ─── dyn0 ┐                                                 eth0
//	                         ├─ (op25b) ─ up0 ─── gw0 (router) inet0 ───────── 203.0.113.10  host, UDP echo
//	static                   │                                                 203.0.113.25  MX, submission
//	100.65.0.2 eth0 ── stat0 ┘                                                 203.0.113.80  web
//	                                                                           lo
//	                                                                           192.0.2.25    the ISP's submission server
//
//	link                  IPv4                               IPv6
//	dynamic - gateway     100.64.0.2 - 100.64.0.1 /24        2001:db8:a:1::2 - ::1 /64
//	static - gateway      100.65.0.2 - 100.65.0.1 /24        2001:db8:a:ffff::2 - ::1 /64
//	gateway - transit     198.51.100.1 - 198.51.100.2 /30    2001:db8:ff::1 - ::2 /64
//	transit - internet    203.0.113.1 - .10 .25 .80 /24      2001:db8:cafe::1 - ::10 ::25 ::80 /64
//	submission server     192.0.2.25/32                      2001:db8:25::25/128
//
// [New] makes the network and [Network.Close] removes it, with every process
// that runs in it. The five hosts are [Node] values: they run functions and
// processes, listen and dial inside their namespace. [Network.StartMail],
// [Network.StartWeb] and [Network.StartEcho] bring up what subscribers want to
// reach, [Network.StartGateway] runs the program under test, and [Demo] plays
// the whole story.
//
// A namespace is called op25b-<pid>-<number>-<role> and is visible to
// ip-netns(8); as that does, the first one makes /run/netns a mount of its own,
// and this stays. Networks of one process and of several live side by side; what a
// crashed process left is removed by [Sweep].
//
// Processes started in a node share the host's mounts. /proc/sys/net and
// /proc/net show the node; /sys/class/net keeps showing the host, unlike under
// `ip netns exec`.
//
// All types are safe for concurrent use unless they say otherwise. The package
// needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN).
package lab
