// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"op25b/config"
	"op25b/exempt"
	"op25b/journal"
	"op25b/lease"
)

// history is what a gateway knows beyond the policy in force: which policies there were,
// and who had which address when. No verdict depends on it, and a gateway runs without.
type history struct {
	journal *journal.Journal // nil: nothing is kept
	path    string           // of the journal
	privacy config.JournalDestinations
	book    *lease.Book
	kinds   map[string]config.LeaseKind // of the sources, by name

	ctx     context.Context //nolint:containedctx // that of what runs, for those whom it calls
	stop    context.CancelFunc
	running sync.WaitGroup
	told    int // changes of leases; of the book alone
}

// breath is after how many changes of leases the journal is waited for: a source that
// begins with a million of them would overrun it.
const breath = 100_000

// openHistory begins to keep one. What does not work is told by its health.
func openHistory(cfg *config.Config, log *zap.Logger) (*history, error) {
	h := &history{path: cfg.Journal.Path, privacy: cfg.Journal.Destinations, kinds: map[string]config.LeaseKind{}}
	h.ctx, h.stop = context.WithCancel(context.Background())
	if cfg.Journal.Path != "" {
		j, err := journal.Start(journal.Options{Path: cfg.Journal.Path, Retention: time.Duration(cfg.Journal.Retention), Log: log.Named("journal")})
		if err != nil {
			return nil, err
		}
		h.journal = j
	}
	h.book = lease.NewBook(lease.Options{OnChange: h.leaseChanged, Log: log.Named("lease")})
	return h, nil
}

// follow listens to the lease sources until the history is closed.
func (h *history) follow(sources []config.LeaseSource) {
	var all []lease.Source
	for _, s := range sources {
		h.kinds[s.Name] = s.Kind
		all = append(all, leaseSource{s})
	}
	h.running.Go(func() { _ = h.book.Run(h.ctx, all...) }) // it ends with the context
}

// close writes what is left.
func (h *history) close() error {
	h.stop()
	h.running.Wait()
	if h.journal == nil {
		return nil
	}
	return h.journal.Close()
}

// leaseChanged keeps what the sources tell.
func (h *history) leaseChanged(e lease.Event) {
	if h.journal == nil {
		return
	}
	switch e.Kind {
	case lease.Granted, lease.Renewed:
		h.journal.Hold(journal.Holding{
			Prefix: e.Prefix, Holder: e.Holder, Hostname: e.Hostname, Source: e.Source, From: e.Start, Seen: e.Time,
		})
	case lease.Released:
		h.journal.Release(e.Prefix, e.Source, e.Time)
	case lease.AllGone:
		h.journal.ReleaseAll(e.Source, e.Time)
	}
	if h.told++; h.told%breath == 0 {
		_ = h.journal.Flush(h.ctx) // its health tells
	}
}

// floor is the latest time that a rollout has gone by here, as far as is known.
func (h *history) floor() time.Time {
	if h.journal == nil {
		return time.Time{}
	}
	return h.journal.LastMark()
}

// mark keeps how far the rollout's clock has got.
func (h *history) mark(t time.Time) {
	if h.journal != nil {
		h.journal.Mark(t)
	}
}

// remember keeps a generation of the policy.
func (h *history) remember(u *update, number int, began time.Time, changes []string) error {
	if h.journal == nil {
		return nil
	}
	text, err := json.Marshal(u.rules.document())
	if err != nil {
		return fmt.Errorf("write the policy down: %w", err)
	}
	h.journal.AddGeneration(journal.Generation{Time: began, Number: number, Document: text, Summary: strings.Join(changes, "; ")})
	return nil
}

// policyDocument is all that a policy depends on, but for the time.
type policyDocument struct {
	Version          int                     `json:"version"`
	Policy           config.Policy           `json:"policy"`
	SourceValidation config.SourceValidation `json:"source_validation"`
	Addresses        []netip.Addr            `json:"addresses"`
	Exemptions       []exempt.Exemption      `json:"exemptions"`
}

const documentVersion = 1

func (r *rulebook) document() *policyDocument {
	return &policyDocument{
		Version: documentVersion, Policy: r.cfg.Policy, SourceValidation: r.cfg.Forwarding.SourceValidation,
		Addresses: r.cfg.Tunnel.Addresses, Exemptions: r.exemptions,
	}
}

// rulebookOf reads what document has written.
func rulebookOf(text []byte) (*rulebook, error) {
	var d policyDocument
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read a policy of the journal: %w", err)
	}
	if d.Version != documentVersion {
		return nil, fmt.Errorf("a policy of the journal has the format %d, and this program knows %d: use the program that wrote it", d.Version, documentVersion)
	}
	cfg := config.Default()
	cfg.Policy, cfg.Forwarding.SourceValidation, cfg.Tunnel.Addresses = d.Policy, d.SourceValidation, d.Addresses
	return newRulebook(&cfg, d.Exemptions), nil
}
