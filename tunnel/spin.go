// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// spinner looks for a while whether there is something to do before it sleeps. To
// sleep and be woken takes tens of microseconds where a virtual processor has to
// be stopped and started for it, longer than most gaps in busy traffic.
//
// How long it looks follows the traffic, as the halt polling of KVM does: longer
// after a sleep that looking would have spared, half as long after one that took
// longer than most. An idle gateway soon does not look at all. Between two looks
// it offers the processor to others, and sleeps at once when somebody took it:
// what it spends on looking it would lack for packets.
type spinner struct {
	most, window time.Duration
}

const (
	// spinStart is the first window, of a few looks.
	spinStart = 10 * time.Microsecond
	// spinYield is more than an offer takes that nobody accepts.
	spinYield = 10 * time.Microsecond
)

// wait returns when ready does or sleep has returned.
func (s *spinner) wait(ready func() bool, sleep func() error) error {
	if s.most == 0 {
		return sleep()
	}
	begun := time.Now()
	for last := begun; last.Sub(begun) < s.window; {
		if ready() {
			return nil
		}
		_, _, _ = syscall.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // cannot fail
		now := time.Now()
		if now.Sub(last) > spinYield {
			break
		}
		last = now
	}
	err := sleep()
	if time.Since(begun) > s.most {
		s.window /= 2
	} else {
		s.window = min(max(2*s.window, spinStart), s.most)
	}
	return err
}
