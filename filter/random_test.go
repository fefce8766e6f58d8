// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"op25b/filter"
)

// TestOracle compares Decide with the oracle over random packets, which are
// biased so that each reason comes up. Longer:
//
//	OP25B_ORACLE_PACKETS=50000000 OP25B_SEED=7 go test -run TestOracle ./filter
func TestOracle(t *testing.T) {
	t.Parallel()
	const shards = 4
	packets := setting(t, "OP25B_ORACLE_PACKETS", 200_000)
	seed := setting(t, "OP25B_SEED", 25)
	t.Logf("%d packets from seed %d", packets, seed)
	tally := newTally()
	t.Run("shards", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(uint64(seed), uint64(shard))) // reproducible
				compare(t, dice{r}, packets/shards+1, tally)
			})
		}
	})
	for reason := filter.ReasonUnset + 1; reason < filter.NumReasons; reason++ {
		if tally.reasons[reason] == 0 {
			t.Errorf("no packet got %s", reason)
		}
	}
	for action := range filter.NumActions {
		if tally.actions[action] == 0 {
			t.Errorf("no packet got %s", action)
		}
	}
	for difference, example := range tally.differences {
		t.Errorf("%s, %d times; for instance\n%s", difference, tally.times[difference], example)
	}
}

// compare sends n packets to Decide and to the oracle.
func compare(t *testing.T, d dice, n int, total *tally) {
	t.Helper()
	const reuse = 100 // so many packets meet the same random policy
	judges := newJudges(t)
	mine := newTally()
	var random judge
	for i := range n {
		if i%reuse == 0 {
			spec := d.spec()
			random = judge{fmt.Sprintf("%+v", spec), compile(t, spec), newOracle(spec)}
		}
		j := random
		if d.chance(60) {
			j = pick(d, judges)
		}
		dir, sum := filter.Outbound, filter.ChecksumUnknown
		if d.chance(20) {
			dir = filter.Inbound
		}
		if d.chance(20) {
			sum = filter.ChecksumTrusted
		}
		pkt := d.packet(dir)
		got, want := j.policy.Decide(dir, pkt, sum), j.oracle.decide(dir, pkt, sum)
		mine.reasons[got.Reason]++
		mine.actions[got.Action]++
		if !want.admits(got) {
			mine.differ(fmt.Sprintf("got %s %s, want %s", got.Action, got.Reason, want),
				fmt.Sprintf("%s, %s, checksum %d: % x", j.name, dir, sum, pkt))
		}
	}
	total.add(mine)
}

// judge is a policy with its oracle.
type judge struct {
	name   string
	policy *filter.Policy
	oracle *oracle
}

func newJudges(t testing.TB) []judge {
	t.Helper()
	all := specs()
	var out []judge
	for _, name := range []string{"plain", "strict", "open", "tunnels", "phased"} { // in order: reproducible
		out = append(out, judge{name, compile(t, all[name]), newOracle(all[name])})
	}
	return out
}

// tally counts reasons, and keeps one example of each difference.
type tally struct {
	mu          sync.Mutex
	reasons     [filter.NumReasons]int
	actions     [filter.NumActions]int
	times       map[string]int
	differences map[string]string
}

func newTally() *tally { return &tally{times: map[string]int{}, differences: map[string]string{}} }

// differ keeps the shortest example.
func (t *tally) differ(difference, example string) {
	if old, seen := t.differences[difference]; !seen || len(example) < len(old) {
		t.differences[difference] = example
	}
	t.times[difference]++
}

func (t *tally) add(other *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for reason, n := range other.reasons {
		t.reasons[reason] += n
	}
	for action, n := range other.actions {
		t.actions[action] += n
	}
	for difference, n := range other.times {
		t.differ(difference, other.differences[difference])
		t.times[difference] += n - 1
	}
}
