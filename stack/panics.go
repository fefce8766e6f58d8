// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"op25b/filter"
)

// Panic is a packet that our code could not cope with. It cost that packet.
type Panic struct {
	Time      time.Time
	Direction filter.Direction
	// What is the value of the panic, in words.
	What string
	// Packet begins with the virtio_net_hdr and has 128 octets at most. It may
	// have been changed already, as far as the code got with it.
	Packet []byte
}

const (
	panicsKept  = 16
	panicOctets = 128
	// panicsPerMinute is more than a bad packet now and then. Beyond it something
	// is wrong with the process, which a new one may not have.
	panicsPerMinute = 10
)

// panics are the last ones of all workers.
type panics struct {
	log *zap.Logger

	mu    sync.Mutex
	kept  []Panic // the newest last
	total uint64
}

// add keeps a panic, and returns an error when there are too many.
func (p *panics) add(d filter.Direction, value any, f frame) error {
	one := Panic{Time: time.Now(), Direction: d, What: fmt.Sprint(value), Packet: bytes.Clone(f[:min(len(f), panicOctets)])}
	p.log.Error("a packet made op25b panic; it is lost, and the next one is taken: please report this",
		zap.Stringer("direction", d), zap.String("panic", one.What), zap.Binary("packet", one.Packet), zap.ByteString("stack", debug.Stack()))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total++
	p.kept = append(p.kept, one)
	if len(p.kept) > panicsKept {
		p.kept = p.kept[1:]
	}
	if n := len(p.kept); n >= panicsPerMinute && one.Time.Sub(p.kept[n-panicsPerMinute].Time) < time.Minute {
		return fmt.Errorf("%d packets within a minute made op25b panic, at last: %s", panicsPerMinute, one.What)
	}
	return nil
}

// Panics returns the last packets that cost a panic, the newest last, and how many
// there were in all.
func (r *Router) Panics() (last []Panic, total uint64) {
	r.panics.mu.Lock()
	defer r.panics.mu.Unlock()
	return slices.Clone(r.panics.kept), r.panics.total
}
