// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"slices"
)

// shortlist keeps the first of what is added, in an order, without keeping the rest.
type shortlist[T any] struct {
	most  int
	order func(a, b T) int
	added int
	items []T
}

// add takes one in. Twice as many as are wanted are kept before the rest is dropped, so
// that sorting costs little for each.
func (s *shortlist[T]) add(item T) {
	s.added++
	s.items = append(s.items, item)
	if len(s.items) >= 2*s.most {
		s.cut()
	}
}

func (s *shortlist[T]) cut() {
	slices.SortStableFunc(s.items, s.order)
	if len(s.items) > s.most {
		clear(s.items[s.most:])
		s.items = s.items[:s.most]
	}
}

// done returns the first, in order; never nil.
func (s *shortlist[T]) done() []T {
	s.cut()
	return append([]T{}, s.items...)
}

// findingOrder has infected computers first, then what a letter to the customer puts
// right, then what nobody can do anything about; of each the surest first, then those
// who try most.
func findingOrder(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(kindRank(a.Kind), kindRank(b.Kind)),
		cmp.Compare(b.Confidence, a.Confidence),
		cmp.Compare(tries(b.Attempts), tries(a.Attempts)),
	)
}

func kindRank(k Kind) int { return slices.Index([]Kind{Infected, Mailer, Unclear}, k) }

// tries is how many attempts of all outcomes there were.
func tries(attempts map[string]uint64) (n uint64) {
	for _, a := range attempts {
		n += a
	}
	return n
}

// suspectOrder has those first who take part in sessions, then those with most of them.
func suspectOrder(a, b Suspect) int {
	return cmp.Or(
		cmp.Compare(suspectRank(a.Kind), suspectRank(b.Kind)),
		cmp.Compare(b.DataPeers, a.DataPeers),
		cmp.Compare(b.Data, a.Data),
		cmp.Compare(b.Peers, a.Peers),
		cmp.Compare(b.SYNACKs+b.Resets, a.SYNACKs+a.Resets),
	)
}

func suspectRank(kind string) int {
	if kind == Triangular {
		return 0
	}
	return 1
}

// poolOrder has the pool first where most subscribers try.
func poolOrder(a, b PoolRow) int {
	return cmp.Or(cmp.Compare(b.Subscribers, a.Subscribers), cmp.Compare(a.Pool, b.Pool))
}

// phaseOrder has what is in force first, then what is to come, then what is over.
func phaseOrder(a, b PhaseRow) int {
	return cmp.Or(cmp.Compare(stateRank(a.State), stateRank(b.State)), a.Start.Compare(b.Start), cmp.Compare(a.Phase, b.Phase))
}

func stateRank(state string) int {
	switch state {
	case "active":
		return 0
	case "planned":
		return 1
	default:
		return 2
	}
}
