// SPDX-License-Identifier: Apache-2.0

package report

import (
	"op25b/census"
)

// Kinds of suspects.
const (
	Triangular  = "triangular"  // somebody answers mail servers that were never called
	Backscatter = "backscatter" // the address is forged, and nobody answers
)

const (
	// fewReplies are as few as stray anyway: a session that was there before the gateway
	// was, or a SYN that another path took.
	fewReplies = 3
	// sessionReplies is how many segments a mail server sends at least in a session that
	// delivers a mail: greeting, capabilities, and an answer to each command.
	sessionReplies = 6
)

// Suspect says whether somebody else sends with the subscriber's address, by replies that
// came without an attempt before them. It is triangular if such sessions went on, with two
// mail servers or for as long as a mail takes: the replies reach somebody who passes them
// on. Otherwise it is backscatter, of which the subscriber is a victim. Sessions without a
// SYN-ACK may be older than the counting, and do not count.
//
// It returns false where there is too little. It keeps nothing of the records, which may
// be in any order.
func (j *Judge) Suspect(records []census.Record) (Suspect, bool) {
	var s Suspect
	for _, r := range byHour(records) {
		u := r.Unsolicited
		if u == (census.Unsolicited{}) {
			continue
		}
		s.Subscriber, s.Pool = r.Subscriber.String(), r.Pool
		s.SYNACKs += u.SYNACKs
		s.Resets += u.Resets
		s.Data += u.Data
		// The same server may come back each hour. The busiest hour is what is certain.
		s.Peers = max(s.Peers, u.Peers)
		s.DataPeers = max(s.DataPeers, u.DataPeers)
		if s.First.IsZero() {
			s.First = r.Hour
		}
		s.Last = r.Hour
	}
	switch {
	case s.SYNACKs+s.Resets+s.Data < fewReplies:
		return Suspect{}, false
	case s.SYNACKs > 0 && s.Data > s.DataPeers && (s.DataPeers >= 2 || s.Data >= sessionReplies):
		s.Kind = Triangular
	case s.SYNACKs+s.Resets < fewReplies:
		return Suspect{}, false
	default:
		s.Kind = Backscatter
	}
	return s, true
}
