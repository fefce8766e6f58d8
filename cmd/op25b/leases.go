// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"op25b/config"
	"op25b/lease"
)

// leaseSource makes what the configuration names.
func leaseSource(s config.LeaseSource) (lease.Source, error) {
	switch s.Kind {
	case config.LeaseDnsmasq:
		return lease.NewDnsmasq(s.Name, s.File), nil
	case config.LeaseISC:
		return lease.NewISC(s.Name, s.File), nil
	case config.LeaseKea:
		return lease.NewKea(s.Name, s.File), nil
	default:
		return nil, fmt.Errorf("lease source %s: no such kind: %s", s.Name, s.Kind)
	}
}
