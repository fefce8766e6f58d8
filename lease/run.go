// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"sync"
	"time"
)

const (
	// sweepEvery is how often a Book looks for leases that are over.
	sweepEvery = 10 * time.Second
	// again is how long a source that has failed waits.
	again = 5 * time.Second
)

// Run runs the sources, each again and again, and ends leases whose time is over,
// until the context ends. It returns the context's error once every source has
// ended.
func (b *Book) Run(ctx context.Context, sources ...Source) error {
	var running sync.WaitGroup
	for _, s := range sources {
		running.Go(func() { b.keepRunning(ctx, s) })
	}
	b.sweep(ctx)
	running.Wait()
	return ctx.Err()
}

// keepRunning runs a source until the context ends.
func (b *Book) keepRunning(ctx context.Context, s Source) {
	for {
		err := s.Run(ctx, b)
		if ctx.Err() != nil {
			return
		}
		b.Asked(s.Name(), b.opts.Now(), err)
		if !pause(ctx, again) {
			return
		}
	}
}

func (b *Book) sweep(ctx context.Context) {
	for pause(ctx, sweepEvery) {
		b.expire()
	}
}

// pause waits; it is false when the context has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
