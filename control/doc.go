// SPDX-License-Identifier: Apache-2.0

// Package control is how a running gateway is asked and steered: HTTP and JSON
// over a unix socket. [Server] is the gateway's end, [Client] the other one;
// openapi.yaml describes what passes between them.
//
// # The socket
//
// [Listen] binds under a name of its own beside the path, and [Server.Publish]
// renames it into place. So the path is never without a socket while one gateway
// follows another, a dead socket is replaced in one step, and nobody finds a
// socket with wider rights than 0660 even for a moment.
//
// # Who may
//
// Whoever can open the socket may read the status. What changes the gateway needs
// root, the gateway's own user, or membership of the socket's group where the operator
// has given it one other than root's. So does an explanation, and all else that tells
// about subscribers, though it changes nothing. The kernel vouches for the peer (SO_PEERCRED,
// SO_PEERGROUPS), as of the moment it connected.
//
// # What a client can do to a gateway
//
// Keep one of 16 connections busy for a while, and no more: every request has a
// size and a time, a connection carries one request, and the packet path shares
// nothing with this package. Four of the connections are kept for those who may
// change something, so that nobody who may only read locks the operator out.
//
// What takes long is counted apart: reports and bundles, two of each at once, and tails.
// A tail may last for days. It gives its place among the 16 back as soon as it has begun,
// there are 8 at most, and one whose reader does not take a line within 5 seconds is cut
// off. An answer that is sent while it is made and then fails has no end, which HTTP's
// chunks show: a client never takes a part for the whole.
//
// A Server and a Client may be used by many goroutines at once.
package control
