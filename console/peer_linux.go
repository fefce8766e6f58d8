// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"fmt"
	"net"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is who is at the other end of a unix socket, as the kernel saw it connect.
type peer struct {
	uid, gid int
	groups   []uint32
	trusted  bool // may use the console
}

// in reports whether the peer is a member of a group.
func (p *peer) in(gid int) bool { return p.gid == gid || slices.Contains(p.groups, uint32(gid)) }

// peerKey is the context key of the connection's peer.
type peerKey struct{}

func withPeer(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok && c.peer != nil {
		return context.WithValue(ctx, peerKey{}, c.peer)
	}
	return ctx
}

func peerFrom(ctx context.Context) *peer {
	p, _ := ctx.Value(peerKey{}).(*peer)
	return p
}

func peerOf(c *net.UnixConn) (p peer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return p, fmt.Errorf("ask who the peer is: %w", err)
	}
	var asked error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); asked != nil {
			return
		}
		p.uid, p.gid = int(cred.Uid), int(cred.Gid)
		p.groups, asked = peerGroups(fd)
	})
	if err == nil {
		err = asked
	}
	if err != nil {
		return peer{}, fmt.Errorf("ask who the peer is: %w", err)
	}
	return p, nil
}

// peerGroups asks for SO_PEERGROUPS, which package unix has no function for: operators
// are made members of a group by a supplementary one.
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
