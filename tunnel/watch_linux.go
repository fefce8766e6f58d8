// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	// recheck is how often Watch looks without having been told, for what the
	// kernel does not announce (the guard) and for announcements that were lost.
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
	sock, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
		unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV4_IFADDR)
	if err != nil {
		return fmt.Errorf("subscribe to link, route and rule changes: %w", err)
	}
	changed := make(chan struct{}, 1)
	changed <- struct{}{} // for what happened between Apply and the subscription
	failed := make(chan error, 1)
	var listening sync.WaitGroup
	listening.Go(func() {
		if err := listen(sock, changed); err != nil {
			failed <- err
		}
	})
	defer func() {
		sock.Close()
		listening.Wait()
	}()
	timer := time.NewTicker(recheck)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-timer.C:
			h.heal(&h.guardTrouble, h.reconcileGuard)
		case <-changed:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(settle):
			}
		}
		h.heal(&h.trouble, h.look)
	}
}

// look reconciles, and tells what is not ours to put right.
func (h *Host) look() (added []string, err error) {
	added, err = h.reconcile()
	return added, errors.Join(err, h.plan.realInterfacesUp())
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
func listen(sock *nl.NetlinkSocket, changed chan<- struct{}) error {
	for {
		msgs, _, err := sock.Receive()
		switch {
		case errors.Is(err, os.ErrClosed), errors.Is(err, unix.EBADF):
			return nil
		case errors.Is(err, unix.ENOBUFS): // messages were lost: look for ourselves
		case err != nil:
			return fmt.Errorf("receive link, route and rule changes: %w", err)
		case !concerns(msgs):
			continue
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// concerns drops what a router with many routes hears all day: additions of
// routes and rules remove nothing of ours.
func concerns(msgs []syscall.NetlinkMessage) bool {
	for _, m := range msgs {
		switch m.Header.Type {
		case unix.RTM_NEWROUTE, unix.RTM_NEWRULE:
		case unix.RTM_DELROUTE:
			const protocolAt = 5 // struct rtmsg.rtm_protocol
			if len(m.Data) > protocolAt && m.Data[protocolAt] == Protocol {
				return true
			}
		default:
			return true
		}
	}
	return false
}
