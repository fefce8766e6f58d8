// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"op25b/filter"
)

// throttle lets one log line a second through and says how many it held back.
// It is off the path of packets that go well.
type throttle struct {
	log        *zap.Logger
	limit      *rate.Limiter
	suppressed atomic.Uint64
}

func newThrottle(log *zap.Logger) throttle {
	return throttle{log: log, limit: rate.NewLimiter(rate.Every(time.Second), 1)}
}

func (t *throttle) warn(msg string, d filter.Direction, err error) {
	if !t.limit.Allow() {
		t.suppressed.Add(1)
		return
	}
	t.log.Warn(msg, zap.Stringer("direction", d), zap.Error(err), zap.Uint64("suppressed", t.suppressed.Swap(0)))
}
