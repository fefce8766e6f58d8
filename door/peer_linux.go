// SPDX-License-Identifier: Apache-2.0

package door

import (
	"fmt"
	"net"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of a connection, as the kernel saw it
// connect or, from a client's side, listen.
type Peer struct {
	// PID is zero where the process is in another PID namespace.
	PID int
	UID int
	GID int
	// Groups are its supplementary groups.
	Groups []uint32
}

// in reports whether the peer is a member of a group.
func (p *Peer) in(gid int) bool {
	return p.GID == gid || slices.Contains(p.Groups, uint32(gid))
}

// PeerOf asks the kernel who is at the other end of a connection.
func PeerOf(conn *net.UnixConn) (Peer, error) {
	var p Peer
	raw, err := conn.SyscallConn()
	if err != nil {
		return p, fmt.Errorf("ask who the peer is: %w", err)
	}
	var asked error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); asked != nil {
			return
		}
		p.PID, p.UID, p.GID = int(cred.Pid), int(cred.Uid), int(cred.Gid)
		p.Groups, asked = peerGroups(fd)
	})
	if err == nil {
		err = asked
	}
	if err != nil {
		return Peer{}, fmt.Errorf("ask who the peer is: %w", err)
	}
	return p, nil
}

// peerGroups asks for SO_PEERGROUPS, which package unix has no function for:
// SO_PEERCRED holds the primary group alone, and operators are made members of
// a group by a supplementary one.
func peerGroups(fd uintptr) ([]uint32, error) {
	for n := uint32(64); ; {
		gids := make([]uint32, n)
		size := n * 4
		_, _, errno := syscall.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&gids[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return gids[:size/4], nil
		case errno == unix.ERANGE && size/4 > n: // the kernel says how many there are
			n = size / 4
		default:
			return nil, errno
		}
	}
}
