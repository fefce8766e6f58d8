// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const (
	// settle is how long Watch lets a burst of changes finish.
	settle = 50 * time.Millisecond
	// recheck is how often Watch looks without having been told, for what the kernel
	// does not announce (some settings) and for announcements that were lost.
	recheck = 10 * time.Second
)

// Watch keeps the plan in force until ctx ends: someone deletes a rule, a link
// flaps, a real interface changes its MTU. What it puts back it logs, one line
// for each round. Where the kernel does not tell what changes, it looks for itself.
func (h *Host) Watch(ctx context.Context) {
	for ctx.Err() == nil {
		if err := h.watch(ctx); err != nil {
			h.log.Error("changes on this machine cannot be watched; they are looked for every now and then", zap.Error(err))
			h.heal(&h.guardTrouble, h.reconcileGuard)
			h.heal(&h.trouble, h.look)
		}
		select {
		case <-ctx.Done():
		case <-time.After(recheck):
		}
	}
}

// watch returns nil when ctx ends, or why it cannot watch.
func (h *Host) watch(ctx context.Context) error {
	changed, guardChanged := make(chan struct{}, 1), make(chan struct{}, 1)
	changed <- struct{}{} // for what happened between Apply and the subscription
	failed := make(chan error, 2)
	var listening sync.WaitGroup
	defer listening.Wait()
	follow := func(what string, concerns func(*syscall.NetlinkMessage) bool, changed chan<- struct{}, protocol int, groups ...uint) (*nl.NetlinkSocket, error) {
		sock, err := nl.Subscribe(protocol, groups...)
		if err != nil {
			return nil, fmt.Errorf("subscribe to %s changes: %w", what, err)
		}
		listening.Go(func() {
			if err := listen(sock, concerns, changed); err != nil {
				failed <- fmt.Errorf("receive %s changes: %w", what, err)
			}
		})
		return sock, nil
	}
	machine, err := follow("link, route and rule", h.plan.concerns, changed,
		unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE,
		unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF, unix.RTNLGRP_IPV4_IFADDR)
	if err != nil {
		return err
	}
	defer machine.Close()
	netfilter, err := follow("netfilter", concernsGuard, guardChanged, unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return err
	}
	defer netfilter.Close()
	return h.follow(ctx, changed, guardChanged, failed)
}

// follow looks at the machine whenever it is told that something has changed, and every
// now and then.
func (h *Host) follow(ctx context.Context, changed, guardChanged <-chan struct{}, failed <-chan error) error {
	timer := time.NewTicker(recheck)
	defer timer.Stop()
	for {
		guard, machine := true, true
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-timer.C:
		case <-guardChanged:
			machine = false
		case <-changed:
			guard = false
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settle):
		}
		if guard {
			h.heal(&h.guardTrouble, h.reconcileGuard)
		}
		if machine {
			h.heal(&h.trouble, h.look)
		}
	}
}

// look reconciles, and tells what is not ours to put right.
func (h *Host) look() (added []string, err error) {
	added, err = h.reconcile()
	return added, errors.Join(err, h.obstacles())
}

// heal reconciles once, logs what it did, and keeps what is wrong still.
func (h *Host) heal(trouble *error, reconcile func() ([]string, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	added, err := reconcile()
	h.healed += uint64(len(added))
	if len(added) > 0 {
		h.log.Warn("something on this machine removed or changed what op25b set up; put back",
			zap.Strings("commands", added))
	}
	// Said once, and again when it is something else: it may last.
	if err != nil && (*trouble == nil || (*trouble).Error() != err.Error()) {
		h.log.Error("the machine is not as op25b needs it; subscribers' traffic may bypass the gateway or stop",
			zap.Error(err))
	}
	if err == nil && *trouble != nil {
		h.log.Info("the machine is as op25b needs it again")
	}
	*trouble = err
}

// listen turns kernel messages that may concern us into signals. It ends with
// nil when the socket is closed.
func listen(sock *nl.NetlinkSocket, concerns func(*syscall.NetlinkMessage) bool, changed chan<- struct{}) error {
	for {
		msgs, _, err := sock.Receive()
		switch {
		case errors.Is(err, os.ErrClosed), errors.Is(err, unix.EBADF):
			return nil
		case errors.Is(err, unix.ENOBUFS): // messages were lost: look for ourselves
		case err != nil:
			return err
		case !slices.ContainsFunc(msgs, func(m syscall.NetlinkMessage) bool { return concerns(&m) }):
			continue
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// concerns drops what a router with many routes hears all day: those in other tables.
func (p *Plan) concerns(m *syscall.NetlinkMessage) bool {
	const tableAt, protocolAt = 4, 5 // struct rtmsg
	switch m.Header.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if len(m.Data) <= protocolAt {
			return false
		}
		// One octet: a table above 255 is told by what we have in it, at least.
		table := int(m.Data[tableAt])
		return table == p.Table || table == p.Table+1 || m.Header.Type == unix.RTM_DELROUTE && m.Data[protocolAt] == Protocol
	default:
		return true
	}
}

// concernsGuard drops what is not about the guard's table, whose name is the first
// attribute of whatever belongs to it.
func concernsGuard(m *syscall.NetlinkMessage) bool {
	const nameAt = 4 + unix.SizeofNlAttr // behind struct nfgenmsg
	return len(m.Data) > nameAt && bytes.HasPrefix(m.Data[nameAt:], []byte(guardTable+"\x00"))
}
