// SPDX-License-Identifier: Apache-2.0

// Package door is a unix socket that the kernel watches: who comes in is known by uid and
// groups, and nobody has to prove anything.
//
// [Bind] makes a [Socket] under a name that nobody knows, and [Socket.Publish] renames it
// into place. So its path is never without a socket while one process follows another, a
// dead socket is replaced in one step, and no file of it has wider rights than 0660 even
// for a moment. A successor's file may be at the path at any time: a Socket tells that
// from its own, and goes by and removes only its own.
//
// [PeerOf] asks who is at the other end (SO_PEERCRED, SO_PEERGROUPS), and
// [Socket.Trusts] says whether that one is an operator: root, the process's own user, or
// a member of the group that the file has been given to. The file says whom to trust, so
// chgrp changes it while the process runs.
//
// What the path is called in the configuration, and so what to do about an [Error], is
// known to whoever opens the door.
//
// A Socket may be used by many goroutines at once.
package door
