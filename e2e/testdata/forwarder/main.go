// SPDX-License-Identifier: Apache-2.0

// Command forwarder stands between two TUN interfaces, as op25b does, with nothing
// but what others offer for it. BenchmarkGateway measures op25b beside it.
//
//	forwarder wireguard     SUBSCRIBER UPSTREAM
//	forwarder netstack      SUBSCRIBER UPSTREAM PREFIX
//	forwarder netstack-bulk SUBSCRIBER UPSTREAM PREFIX
//
// wireguard relays by the tun package of wireguard-go, in batches. netstack has
// gVisor's network stack route between two NICs, as it comes: PREFIX is behind the
// subscriber's, all else behind the other. netstack-bulk adds what netstack has not,
// super-packets that pass whole.
//
// It makes the interfaces and says "ready" when it has them; they go when it ends.
package main

import (
	"errors"
	"fmt"
	"os"
)

// mtu of the interfaces, in octets.
const mtu = 1500

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "forwarder:", err)
		os.Exit(1)
	}
}

// run returns only when forwarding fails.
func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "wireguard":
		return relay(args[1], args[2])
	case len(args) == 4 && args[0] == "netstack":
		return route(args[1], args[2], args[3], false)
	case len(args) == 4 && args[0] == "netstack-bulk":
		return route(args[1], args[2], args[3], true)
	default:
		return errors.New("usage: forwarder wireguard|netstack|netstack-bulk SUBSCRIBER UPSTREAM [PREFIX]")
	}
}

func ready() { _, _ = os.Stdout.WriteString("ready\n") } // nobody reads: nobody cares
