// SPDX-License-Identifier: Apache-2.0

package report

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"op25b/census"
	"op25b/human"
)

// Input is what a report is made of. Functions are called one at a time, by the
// goroutine that calls Build.
type Input struct {
	// From and To bound the report; they are widened to whole hours. From's location is
	// where days begin, and in which times are shown. Made is when the report is made.
	From, To, Made time.Time
	// Records come in any order, a subscriber's hour more than once if need be. Those
	// outside of the bounds are left out. They are gone through once.
	Records iter.Seq2[census.Record, error]
	// Judge says what subscribers look like.
	Judge judge
	// Phases are those of the rollout; their counts are set here.
	Phases []PhaseRow
	// TakenIn says by which phases, as indices into Phases, an attempt of a subscriber
	// to a destination is or would be taken in. The destination may be a wide prefix,
	// even /0, where no more of it is known. Nil: phases count nothing.
	TakenIn func(pool string, subscriber, destination netip.Prefix) []int
	// Exemptions are those to show; Used is set here.
	Exemptions []Exemption
	// ExemptionOf is the index into Exemptions of the one that a subscriber has, or -1.
	// Nil: Used is not counted.
	ExemptionOf func(subscriber netip.Prefix) int
	// Pools are all dynamic ones: those without attempts have a row of zeros.
	Pools []string
	// Holder says who had an address last; empty if nobody knows. It is asked only for
	// subscribers that the report names. Nil: nobody knows.
	Holder func(subscriber netip.Prefix) string
	Notes  []string
	// MostFindings is how many findings, and how many suspects, are listed; the others
	// are in the totals. Zero: 1000.
	MostFindings int
}

// judge tells subscribers apart. Records are of one subscriber, the earliest hour
// first, at least one, and the judge's to keep: those hours only in which an attempt is
// or would be refused, or a reply was unsolicited. Find gets none without such an
// attempt.
type judge interface {
	Find(records []census.Record) Finding
	// Suspect says that there is nobody to suspect by false.
	Suspect(records []census.Record) (Suspect, bool)
}

const mostFindings = 1000

// Build makes a report. It needs memory for the hours of those subscribers who tried
// what is or would be refused, some 60 octets an hour and 25 for each destination named
// in it, and none for the others. Errors are of the records, or say what Input lacks.
func Build(in Input) (*Report, error) {
	b, err := newBuilder(&in)
	if err != nil {
		return nil, err
	}
	if in.Records != nil {
		for record, err := range in.Records {
			if err != nil {
				return nil, fmt.Errorf("read what was counted: %w", err)
			}
			b.add(&record)
		}
	}
	b.subscribers.each(b.settle)
	return b.finish(), nil
}

// builder makes one report. It counts attempts as records come (add), subscribers
// when all are there (settle), and puts things in order last (finish).
type builder struct {
	in          *Input
	report      *Report
	pools       map[string]int // indices into report.Pools
	trend       trend
	subscribers packed
	findings    shortlist[Finding]
	suspects    shortlist[Suspect]
	settled     int // subscribers so far: tells a subscriber from the next in the three below
	inPool      []int
	inStep      []int
	phaseSeen   []int
}

func newBuilder(in *Input) (*builder, error) {
	from := in.From.Truncate(time.Hour)
	to := in.To.Add(time.Hour - 1).Truncate(time.Hour)
	switch {
	case in.Judge == nil:
		return nil, errors.New("build a report: nobody judges: set Judge")
	case !from.Before(to):
		return nil, fmt.Errorf("build a report: it would end (%s) before it begins (%s): ask for a later end",
			in.To.Format(time.RFC3339), in.From.Format(time.RFC3339))
	}
	most := in.MostFindings
	if most <= 0 {
		most = mostFindings
	}
	b := &builder{
		in: in,
		report: &Report{
			From: from, To: to, Made: in.Made,
			Notes:      append([]string{}, in.Notes...),
			Pools:      []PoolRow{},
			Phases:     append([]PhaseRow{}, in.Phases...),
			Exemptions: append([]Exemption{}, in.Exemptions...),
		},
		pools:    map[string]int{},
		trend:    newTrend(from, to),
		findings: shortlist[Finding]{most: most, order: findingOrder},
		suspects: shortlist[Suspect]{most: most, order: suspectOrder},
	}
	b.inStep, b.phaseSeen = make([]int, len(b.trend.points)), make([]int, len(in.Phases))
	for _, name := range in.Pools {
		b.pool(name)
	}
	for i := range b.report.Phases {
		b.report.Phases[i].Subscribers, b.report.Phases[i].Attempts = 0, 0
	}
	for i := range b.report.Exemptions {
		b.report.Exemptions[i].Used = 0
	}
	return b, nil
}

// pool returns the index of a pool's row, which it makes if there is none.
func (b *builder) pool(name string) int {
	i, known := b.pools[name]
	if !known {
		i = len(b.report.Pools)
		b.pools[name] = i
		b.report.Pools = append(b.report.Pools, PoolRow{Pool: name})
		b.inPool = append(b.inPool, 0)
	}
	return i
}

// add counts a record's attempts, and puts it aside if its subscriber is to be judged.
func (b *builder) add(r *census.Record) {
	if r.Hour.Before(b.report.From) || !r.Hour.Before(b.report.To) {
		return
	}
	pool := b.pool(r.Pool)
	b.report.Totals.add(&r.Attempts)
	b.report.Pools[pool].add(&r.Attempts)
	b.trend.points[b.trend.step(r.Hour)].add(&r.Attempts)
	if n := r.Attempts[census.Exempt]; n > 0 && b.in.ExemptionOf != nil {
		if i := b.in.ExemptionOf(r.Subscriber); i >= 0 && i < len(b.report.Exemptions) {
			b.report.Exemptions[i].Used += n
		}
	}
	if r.Blocked() > 0 || r.Unsolicited != (census.Unsolicited{}) {
		b.subscribers.add(r, pool)
	}
}

func (c *Counts) add(attempts *[census.NumOutcomes]uint64) {
	c.Refused += attempts[census.Refused]
	c.Monitored += attempts[census.Monitored]
	c.NotInForce += attempts[census.NotInForce]
	c.Exempt += attempts[census.Exempt]
	c.Relayed += attempts[census.Relayed]
}

// Blocked is what is or would be refused, today or once the rollout is there.
func (c *Counts) Blocked() uint64 { return c.Refused + c.Monitored + c.NotInForce }

// settle counts and judges one subscriber, of whom all records are there.
func (b *builder) settle(subscriber netip.Prefix, parts []part) {
	b.settled++
	records := make([]census.Record, len(parts))
	for i, p := range parts {
		records[i] = p.record
		records[i].Subscriber, records[i].Pool = subscriber, b.report.Pools[p.pool].Pool
	}
	records = mergeHours(records)
	if suspect, found := b.in.Judge.Suspect(records); found {
		suspect.Subscriber, suspect.Pool = subscriber.String(), records[len(records)-1].Pool
		b.suspects.add(suspect)
	}
	if !slices.ContainsFunc(records, func(r census.Record) bool { return r.Blocked() > 0 }) {
		return
	}
	b.report.Totals.Subscribers++
	for i := range records {
		b.appear(&records[i])
	}
	b.takenIn(subscriber, records)
	b.judged(subscriber, records)
}

// appear counts the subscriber where a record is, unless that has been done.
func (b *builder) appear(r *census.Record) {
	if r.Blocked() == 0 {
		return
	}
	if pool := b.pools[r.Pool]; b.inPool[pool] != b.settled {
		b.inPool[pool] = b.settled
		b.report.Pools[pool].Subscribers++
	}
	if step := b.trend.step(r.Hour); b.inStep[step] != b.settled {
		b.inStep[step] = b.settled
		b.trend.points[step].Subscribers++
	}
}

// judged asks what the subscriber looks like. A subscriber who was in more than one
// pool is judged in the latest.
func (b *builder) judged(subscriber netip.Prefix, records []census.Record) {
	pool := &b.report.Pools[b.pools[records[len(records)-1].Pool]]
	f := b.in.Judge.Find(records)
	f.Subscriber, f.Pool = subscriber.String(), pool.Pool
	switch f.Kind {
	case Mailer:
		pool.Mailers++
		b.report.Totals.Mailers++
	case Infected:
		pool.Infected++
		b.report.Totals.Infected++
	default:
		f.Kind = Unclear
		pool.Unclear++
		b.report.Totals.Unclear++
	}
	b.findings.add(f)
}

// finish puts the lists in order, and says who is behind what they name.
func (b *builder) finish() *Report {
	r := b.report
	r.Findings, r.Triangular, r.Trend = b.findings.done(), b.suspects.done(), b.trend.points
	if more := b.findings.added - len(r.Findings); more > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s in the totals and not listed: the list ends at %s.",
			human.Counted(uint64(more), "further finding is", "further findings are"), human.Count(uint64(len(r.Findings)))))
	}
	if more := b.suspects.added - len(r.Triangular); more > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s not listed: the list ends at %s.",
			human.Counted(uint64(more), "further subscriber with unsolicited replies is", "further subscribers with unsolicited replies are"),
			human.Count(uint64(len(r.Triangular)))))
	}
	if b.in.Holder != nil {
		for i := range r.Findings {
			r.Findings[i].Holder = b.holder(r.Findings[i].Subscriber)
		}
		for i := range r.Triangular {
			r.Triangular[i].Holder = b.holder(r.Triangular[i].Subscriber)
		}
	}
	slices.SortStableFunc(r.Pools, poolOrder)
	slices.SortStableFunc(r.Phases, phaseOrder)
	slices.SortStableFunc(r.Exemptions, func(a, b Exemption) int { return a.Until.Compare(b.Until) })
	return r
}

// holder is of a subscriber that settle has written.
func (b *builder) holder(subscriber string) string {
	prefix, err := netip.ParsePrefix(subscriber)
	if err != nil {
		return "" // an invalid prefix was counted, and nobody has that
	}
	return b.in.Holder(prefix)
}
