// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net"

	"op25b/door"
)

// peer is who is at the other end of a unix socket, as the kernel saw it connect.
type peer struct {
	door.Peer

	trusted bool // may use the console
}

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
