// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"op25b/config"
	"op25b/lease"
)

// leaseSource is a source that the configuration names. What it needs it opens only
// when it runs, and again when it has failed: a file or a secret that is not there is a
// source that cannot be asked, and no reason for a gateway not to start.
type leaseSource struct{ config config.LeaseSource }

// Name returns the source's name.
func (s leaseSource) Name() string { return s.config.Name }

// Run runs it.
func (s leaseSource) Run(ctx context.Context, to lease.Sink) error {
	source, err := s.open()
	if err != nil {
		return err
	}
	return source.Run(ctx, to)
}

func (s leaseSource) open() (lease.Source, error) {
	c := &s.config
	switch c.Kind {
	case config.LeaseDnsmasq:
		return lease.NewDnsmasq(c.Name, c.File), nil
	case config.LeaseISC:
		return lease.NewISC(c.Name, c.File), nil
	case config.LeaseKea:
		return lease.NewKea(c.Name, c.File), nil
	case config.LeaseKeaSocket:
		return lease.NewKeaSocket(c.Name, c.Socket), nil
	case config.LeaseRADIUS:
		return s.openRADIUS()
	default:
		return nil, fmt.Errorf("no such kind: %s", c.Kind)
	}
}

func (s leaseSource) openRADIUS() (lease.Source, error) {
	secret, err := os.ReadFile(s.config.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	opts := lease.RADIUSOptions{Name: s.config.Name, Listen: s.config.Listen, Secret: bytes.TrimRight(secret, "\r\n")}
	for _, c := range s.config.Clients {
		opts.Clients = append(opts.Clients, c.Prefix)
	}
	return lease.NewRADIUS(opts)
}
