// SPDX-License-Identifier: Apache-2.0

package population

import (
	"time"

	"op25b/census"
)

// relay is a subscriber whose mail goes where it should.
func (l *life) relay() {
	l.outcome = census.Relayed
	l.home()
}

// backscatter is what comes back when somebody forges the address: answers to SYNs that
// the subscriber never sent, more than one where nobody refuses them, from 3 to 3000
// servers an hour. Nobody answers the servers, so no session goes on.
func (l *life) backscatter() {
	pace := l.between(3, 3000)
	from, long := l.rng.IntN(days*24), 1+l.rng.IntN(40)
	for h := from; h < min(from+long, days*24); h++ {
		at, ok := l.see(l.start.Add(time.Duration(h) * time.Hour))
		if !ok {
			continue
		}
		servers := uint64(l.often(pace))
		if servers == 0 {
			servers = 1
		}
		refuse := uint64(float64(servers) * 0.3 * l.rng.Float64())
		at.unsolicited.Resets += refuse
		at.unsolicited.SYNACKs += (servers - refuse) * uint64(1+l.rng.IntN(4))
		at.unsolicited.Peers = min(servers, 1024)
	}
}

// triangular is a subscriber who passes the replies on to somebody else, who sends with
// its address: sessions with 2 to 200 servers an hour, each with a dozen replies or so.
func (l *life) triangular() {
	pace := l.between(2, 200)
	from, long := l.rng.IntN(days*24), 1+l.rng.IntN(60)
	for h := from; h < min(from+long, days*24); h++ {
		at, ok := l.see(l.start.Add(time.Duration(h) * time.Hour))
		if !ok {
			continue
		}
		servers := 1 + uint64(l.often(pace))
		talk := servers - uint64(float64(servers)*0.4*l.rng.Float64())
		at.unsolicited.SYNACKs += servers
		at.unsolicited.Resets += servers - talk
		for range talk {
			at.unsolicited.Data += uint64(6 + l.rng.IntN(15))
		}
		at.unsolicited.Peers, at.unsolicited.DataPeers = min(servers, 1024), min(talk, 1024)
	}
}
