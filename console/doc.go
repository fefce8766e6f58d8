// SPDX-License-Identifier: Apache-2.0

// Package console is the web console: what the control socket answers, for people with
// a browser. It asks a [Gateway] and shows what that says; it decides nothing and keeps
// nothing but sessions and the samples of the last quarter of an hour.
//
// # Where it listens
//
// On a unix socket, where the kernel says who connects (SO_PEERCRED, SO_PEERGROUPS):
// root, the gateway's own user, and members of the socket's group may. Or on a loopback
// address, where a token from a file opens a session. It listens nowhere else: there is
// no TLS, and whoever wants to look from afar brings a tunnel that has it.
//
// # What a web page of somebody else can do
//
// A browser lends its user's place on the machine to every page it has open. So a
// request must name a loopback host, which one by DNS rebinding does not; a request that
// changes something must come from the console's own pages; and one that another site's
// page makes behind the scenes is turned down even if it only reads. The pages
// themselves take nothing from elsewhere, and have no inline script or style: the
// Content-Security-Policy says so, and a name of a host that is hostile stays text.
//
// # What a client can do to a gateway
//
// Keep one of 64 connections for a while. Requests have a size and a time, reports are
// made one at a time, sessions are bounded, and the packet path shares nothing with
// this package. With the console read-only, which is the default, nothing can be changed.
//
// A Server may be used by many goroutines at once.
package console
