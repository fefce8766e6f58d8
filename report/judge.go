// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"op25b/census"
)

const (
	// claim is the confidence below which a finding is Unclear.
	claim = 0.8
	// mostConfident is as sure as a finding gets: simulated subscribers prove no more.
	mostConfident = 0.98
	// unclearConfidence is that of Unclear: nothing is claimed.
	unclearConfidence = 0.5
	// leastAttempts are as few as may be a click by mistake: less is nothing to go by.
	leastAttempts = 3
	// fewAttempts are too few for full weights: with that many, weights count half.
	fewAttempts = 2
	// leastWeight is what evidence has to weigh to be told.
	leastWeight = 0.05
)

// Judge says what the records of one subscriber look like. It weighs features that people
// can check, each with a weight from one table, and adds the weights up. The zero Judge is
// ready, and may be used by many at a time, as far as Known may.
//
// What a census counts is SYNs: nothing that was said, and no mail. A bot that sends as a
// mail program does is taken for one, and a server whose queue is refused can look like a
// bot. So what it finds is advice for people, who have the evidence beside it.
type Judge struct {
	// Known tells whether a destination, or the network that privacy leaves of it, is one to
	// which a mail provider's customers submit mail. The servers by which providers take
	// mail from others do not belong there: bots try them first. Nil: none is known.
	Known func(netip.Prefix) bool
	// Location is where the subscribers live, for hours of the day. Nil: UTC.
	Location *time.Location
}

// Find judges one subscriber by its records, of which there is at least one, in any order.
// Where privacy has shortened destinations or left them out it goes by the rest. It fills
// every field but Holder. The records are left as they are, and nothing of them is kept.
//
// Only attempts that are or would be refused count. A subscriber who made none, or too few
// to tell, is Unclear, and so is one whose quiet hours look like a mail program and whose
// busy ones like a bot: there may be several behind one address.
func (j *Judge) Find(records []census.Record) Finding {
	hours := byHour(records)
	f := summarize(hours)
	f.Kind, f.Confidence, f.Evidence = j.weigh(hours)
	return f
}

// weigh is the judgment itself: of records by the hour, each hour once.
func (j *Judge) weigh(hours []census.Record) (Kind, float64, []Evidence) {
	h := j.observe(hours)
	if h.attempts == 0 {
		return Unclear, unclearConfidence, []Evidence{{
			Feature: "attempts", Text: "no attempt that is or would be refused",
		}}
	}
	score, evidence := assess(h)
	confidence := confidence(score)
	if confidence < claim || h.attempts < leastAttempts {
		return Unclear, unclearConfidence, evidence
	}
	for _, doubt := range []func() (Evidence, bool){h.crowd, func() (Evidence, bool) { return j.contradiction(hours) }} {
		if e, ok := doubt(); ok {
			return Unclear, unclearConfidence, append([]Evidence{e}, evidence...)
		}
	}
	if score > 0 {
		return Infected, confidence, evidence
	}
	return Mailer, confidence, evidence
}

// assess adds up what the features weigh: the logarithm of the odds that a subscriber is
// infected. Evidence comes with the weightiest first.
func assess(h *habits) (score float64, evidence []Evidence) {
	evidence = []Evidence{}
	for _, f := range features() {
		value, ok := f.measure(h)
		if !ok {
			continue
		}
		weight := f.weigh(value) * h.certainty()
		score += weight
		if math.Abs(weight) >= leastWeight {
			evidence = append(evidence, Evidence{
				Feature: f.name, Value: round(value), Weight: round(weight), Text: f.text(value),
			})
		}
	}
	slices.SortStableFunc(evidence, func(a, b Evidence) int { return cmp.Compare(math.Abs(b.Weight), math.Abs(a.Weight)) })
	return score, evidence
}

// confidence is how often a finding with such a score was right. The score alone promises
// too much or too little, since features depend on each other; temper makes that good.
func confidence(score float64) float64 {
	return round(min(1/(1+math.Exp(-temper*math.Abs(score))), mostConfident))
}

// crowdProviders are more than the mail programs of one household have.
const crowdProviders = 5

// crowd doubts that there is one sender: mail programs have a provider each, and bots do
// not go where customers submit. It needs destinations, and to know of providers.
func (h *habits) crowd() (Evidence, bool) {
	n := h.providers()
	if n < crowdProviders {
		return Evidence{}, false
	}
	return Evidence{
		Feature: "some_of_both", Value: float64(n),
		Text: fmt.Sprintf("mail programs of %d providers: there may be many subscribers behind this address", n),
	}, true
}

// Hours with so few destinations are quiet, those with so many are busy.
const (
	quietDestinations = 3
	busyDestinations  = 10
)

// contradiction judges quiet and busy hours each by themselves. If they disagree, there is
// some of both. A bot that pauses, or is slow, is not taken for two: quiet hours have to
// be three, and a quarter, and hours that are neither no more than a fifth.
func (j *Judge) contradiction(hours []census.Record) (Evidence, bool) {
	isQuiet := func(r *census.Record) bool { return r.Blocked() > 0 && blockedDestinations(r) <= quietDestinations }
	isBusy := func(r *census.Record) bool { return r.Blocked() > 0 && blockedDestinations(r) >= busyDestinations }
	quiet, busy, all := 0, 0, 0
	for i := range hours {
		r := &hours[i]
		switch {
		case r.Blocked() == 0:
			continue
		case isQuiet(r):
			quiet++
		case isBusy(r):
			busy++
		}
		all++
	}
	between := all - quiet - busy
	if busy == 0 || quiet < 3 || quiet*4 < all || between*5 > all {
		return Evidence{}, false
	}
	calm, _ := assess(j.observe(those(hours, isQuiet)))
	wild, _ := assess(j.observe(those(hours, isBusy)))
	if calm > 0 || wild < 0 || confidence(calm) < claim || confidence(wild) < claim {
		return Evidence{}, false
	}
	return Evidence{
		Feature: "some_of_both", Value: float64(quiet),
		Text: fmt.Sprintf("%s like a mail program's, %s like a bot's", several(quiet, "quiet hour"), several(busy, "busy hour")),
	}, true
}

// those returns the records that are such.
func those(hours []census.Record, such func(*census.Record) bool) []census.Record {
	var some []census.Record
	for i := range hours {
		if such(&hours[i]) {
			some = append(some, hours[i])
		}
	}
	return some
}

// round keeps two decimals: more would look exact.
func round(f float64) float64 { return math.Round(f*100) / 100 }

func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
