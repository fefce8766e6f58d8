// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"op25b/census"
	"op25b/report/population"
)

// trial is a subscriber whose kind is known, with what privacy leaves of its records.
type trial struct {
	kind    population.Kind
	privacy population.Privacy
	records []census.Record
}

// trials makes populations, each of them once for each way of keeping records.
func trials(t *testing.T, first, last uint64, each int) []trial {
	t.Helper()
	var all []trial
	for seed := first; seed <= last; seed++ {
		for _, s := range population.Make(population.Options{Seed: seed, Each: each, Location: berlin(t)}) {
			for _, p := range privacies() {
				all = append(all, trial{s.Kind, p, p.Apply(s.Records)})
			}
		}
	}
	return all
}

func privacies() []population.Privacy {
	return []population.Privacy{population.Full, population.Truncated, population.Absent}
}

// term is how much a point takes part in a score.
type term struct {
	at    int
	share float64
}

// example is a trial as a regression sees it. A subscriber that is both things is as much
// the one as the other, which draws such scores to the middle. Most networks have few of
// those, so that they weigh less.
type example struct {
	terms  []term
	truth  float64
	weight float64
}

// TestTune computes the weights: a logistic regression on the populations of seeds 1 to
// 20, in which weights of a feature may only rise or only fall with its values, as the
// feature is meant. Mimics are left out, since nothing tells them apart.
func TestTune(t *testing.T) {
	if os.Getenv("OP25B_TUNE") == "" {
		t.Skip("weights are computed with OP25B_TUNE=1 only")
	}
	t.Parallel()
	table := features()
	at, n := make([]int, len(table)), 0
	for i, f := range table {
		at[i] = n
		n += len(f.points)
	}
	var examples []example
	for _, trial := range trials(t, 1, 20, 12) {
		truth, ok := truthOf(trial.kind)
		if !ok {
			continue
		}
		e := example{truth: truth, weight: 1}
		if truth == 0.5 {
			e.weight = 0.3
		}
		h := (&Judge{Known: population.Known, Location: berlin(t)}).observe(byHour(trial.records))
		if _, several := h.crowd(); several {
			continue // weights decide nothing there
		}
		for i, f := range table {
			v, ok := f.measure(h)
			if !ok {
				continue
			}
			p, share := f.place(v)
			e.terms = append(e.terms, term{at[i] + p, (1 - share) * h.certainty()})
			if share > 0 {
				e.terms = append(e.terms, term{at[i] + p + 1, share * h.certainty()})
			}
		}
		examples = append(examples, e)
	}
	weights := regress(examples, n, func(w []float64) {
		for i, f := range table {
			order(w[at[i]:at[i]+len(f.points)], falls(f.name))
		}
	})
	for i, f := range table {
		var points []string
		for k, p := range f.points {
			points = append(points, fmt.Sprintf("{%v, %.1f}", p.value, weights[at[i]+k]))
		}
		fmt.Printf("%s\n\t\t\t%s,\n", f.name, strings.Join(points, ", "))
	}
	fmt.Printf("temper = %.2f\n", warm(examples, weights))
}

// warm finds the temper by which confidences say best how often findings are right. One
// about a subscriber who is both is wrong, whatever it says.
func warm(examples []example, weights []float64) (best float64) {
	least := math.Inf(1)
	for temper := 0.3; temper < 2.5; temper += 0.05 {
		var loss float64
		for _, e := range examples {
			s := e.score(weights)
			c := min(1/(1+math.Exp(-temper*math.Abs(s))), mostConfident)
			if right := e.truth == 1 && s > 0 || e.truth == 0 && s <= 0; !right {
				c = 1 - c
			}
			loss -= e.weight * math.Log(c)
		}
		if loss < least {
			least, best = loss, temper
		}
	}
	return best
}

func (e *example) score(weights []float64) (score float64) {
	for _, t := range e.terms {
		score += weights[t.at] * t.share
	}
	return score
}

func truthOf(k population.Kind) (float64, bool) {
	if k == population.Mimic {
		return 0, false
	}
	switch k.Truth() {
	case population.IsMailer:
		return 0, true
	case population.IsInfected:
		return 1, true
	case population.IsBoth:
		return 0.5, true
	default:
		return 0, false
	}
}

// falls tells whether more of a feature speaks for a mailer.
func falls(feature string) bool {
	return slices.Contains([]string{"attempts_per_destination", "known_providers", "working_hours"}, feature)
}

// regress finds the weights by following the gradient, step by step, with a pull to zero
// that keeps what the examples hardly tell near to it.
func regress(examples []example, n int, constrain func([]float64)) []float64 {
	const steps, pull = 3000, 0.0003
	w, g, speed := make([]float64, n), make([]float64, n), make([]float64, n)
	for step := range steps {
		clear(g)
		for i := range examples {
			e := &examples[i]
			off := (1/(1+math.Exp(-e.score(w))) - e.truth) * e.weight / float64(len(examples))
			for _, t := range e.terms {
				g[t.at] += off * t.share
			}
		}
		for i := range w {
			g[i] += pull * w[i]
			speed[i] = 0.9*speed[i] - 2*g[i]
			w[i] += speed[i] / (1 + float64(step)/steps)
		}
		constrain(w)
	}
	return w
}

// order makes values rise, or fall, and changes them as little as that allows: where they
// do not, neighbours become their average.
func order(w []float64, fall bool) {
	if fall {
		slices.Reverse(w)
		defer slices.Reverse(w)
	}
	type block struct {
		sum float64
		n   int
	}
	var blocks []block
	for _, v := range w {
		b := block{v, 1}
		for len(blocks) > 0 {
			last := blocks[len(blocks)-1]
			if last.sum/float64(last.n) <= b.sum/float64(b.n) {
				break
			}
			b = block{b.sum + last.sum, b.n + last.n}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	i := 0
	for _, b := range blocks {
		for range b.n {
			w[i] = b.sum / float64(b.n)
			i++
		}
	}
}
