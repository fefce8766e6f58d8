// SPDX-License-Identifier: Apache-2.0

package filter

// Direction says which way a packet travels through the gateway.
type Direction uint8

const (
	// Outbound is from a subscriber towards the upstream.
	Outbound Direction = iota
	// Inbound is from the upstream towards a subscriber.
	Inbound
	// NumDirections sizes arrays that are indexed by Direction.
	NumDirections
)

// String returns "outbound" or "inbound".
func (d Direction) String() string {
	if d == Inbound {
		return "inbound"
	}
	return "outbound"
}

// Opposite returns the other direction.
func (d Direction) Opposite() Direction { return NumDirections - 1 - d }

// Checksum says what is known about a packet's transport checksum before
// anybody has added it up.
type Checksum uint8

const (
	// ChecksumUnknown means that the packet carries a checksum that nobody
	// has vouched for: Decide verifies it before it asks for an answer.
	ChecksumUnknown Checksum = iota
	// ChecksumTrusted means that the sender's kernel vouches for the payload:
	// the checksum is still partial (VIRTIO_NET_HDR_F_NEEDS_CSUM) or was
	// verified by a device (VIRTIO_NET_HDR_F_DATA_VALID). A partial checksum
	// is not a bad one.
	ChecksumTrusted
)

// Action is what the gateway does with a packet.
type Action uint8

const (
	// Drop says nothing to the sender.
	Drop Action = iota
	// Forward sends the packet on.
	Forward
	// Reset answers with a TCP RST (RFC 9293, section 3.5.2).
	Reset
	// Prohibited answers with ICMP "communication administratively
	// prohibited" (RFC 1812, section 5.2.7.1; RFC 4443, section 3.1).
	Prohibited
	// Local hands the packet to the router's own host side.
	Local
	// Monitored sends the packet on, and counts it with the reason that it would have
	// been refused or dropped for.
	Monitored
	// NumActions sizes arrays that are indexed by Action.
	NumActions
)

// String returns the name that logs, metrics and --json use.
func (a Action) String() string {
	switch a {
	case Forward:
		return "forward"
	case Reset:
		return "reset"
	case Prohibited:
		return "prohibited"
	case Local:
		return "local"
	case Monitored:
		return "monitored"
	default:
		return "drop"
	}
}

// Reason says why a packet got its action. The set is closed: its names are
// metric labels, and each has its own test.
type Reason uint8

// Reasons to forward.
const (
	// ReasonUnset is the zero value. Decide never returns it.
	ReasonUnset Reason = iota
	// ReasonInbound is a packet towards a subscriber, which passes.
	ReasonInbound
	// ReasonStatic is a packet from a static pool.
	ReasonStatic
	// ReasonUnlisted is a source in no pool, while source validation is off. It
	// passes, but gets no answer: what it sends to the router itself is dropped.
	ReasonUnlisted
	// ReasonNotTCP is a transport other than TCP.
	ReasonNotTCP
	// ReasonOpaque is a payload that nobody on the way can read: ESP, or the
	// IPv6 "no next header".
	ReasonOpaque
	// ReasonOtherPort is TCP to a port that is not blocked.
	ReasonOtherPort
	// ReasonRelay is TCP to a submission server that stays reachable.
	ReasonRelay
	// ReasonNotSYN is a segment that does not open a connection, while
	// established connections are kept.
	ReasonNotSYN
	// ReasonLaterFragment is a fragment that lies wholly behind any TCP header.
	ReasonLaterFragment
	// ReasonExempt is a packet from a subscriber who is exempt.
	ReasonExempt
	// ReasonNotInForce is a packet of a dynamic subscriber that is refused or dropped
	// once a rule of the pool matches it; none does now.
	ReasonNotInForce

	// ReasonRouter is a packet addressed to the router itself.
	ReasonRouter

	// ReasonBlockedPort is a connection from a dynamic source to a blocked port:
	// what this program is for.
	ReasonBlockedPort
	// ReasonEstablished is a segment of an open connection to a blocked port,
	// while established connections are reset.
	ReasonEstablished

	// ReasonMalformed is an IP header whose version, lengths or options lie.
	ReasonMalformed
	// ReasonSourceRoute is an IPv4 source route or an IPv6 type 0 routing
	// header (RFC 7126, section 4.3; RFC 5095): the destination in the header is
	// not where the packet ends.
	ReasonSourceRoute
	// ReasonMartianSource is a source that no packet on a network may have
	// (RFC 1812, section 5.3.7).
	ReasonMartianSource
	// ReasonMartianDestination is a destination that is not forwarded as
	// unicast: multicast, broadcast, loopback, unspecified, IPv4-mapped.
	ReasonMartianDestination
	// ReasonLand is a source equal to the destination.
	ReasonLand
	// ReasonSpoofedSource is a source in no pool, while source validation is on.
	ReasonSpoofedSource
	// ReasonTruncatedTCP is a TCP header cut short in an unfragmented packet.
	ReasonTruncatedTCP
	// ReasonBadDataOffset is a TCP data offset below 5 or beyond the packet.
	ReasonBadDataOffset
	// ReasonBadChecksum is a segment to a blocked port with a wrong checksum.
	// An answer would tell the sender that it was received; forwarding could
	// meet an offload that repairs it.
	ReasonBadChecksum
	// ReasonSYNRST is SYN with RST: a RST is never answered.
	ReasonSYNRST
	// ReasonResetSegment is a RST to a blocked port while established
	// connections are reset: a RST is never answered.
	ReasonResetSegment
	// ReasonFragmentedSYN is the first fragment of a SYN to a blocked port:
	// its checksum cannot be verified, so it is not answered.
	ReasonFragmentedSYN
	// ReasonTinyFragment is a first fragment without a whole TCP header or,
	// in IPv6, without the whole header chain (RFC 1858, section 3; RFC 7112,
	// section 5).
	ReasonTinyFragment
	// ReasonOverlappingFragment is a later fragment that reaches into where a
	// TCP header may lie (RFC 1858, section 4; RFC 3128, section 2).
	ReasonOverlappingFragment
	// ReasonBadFragment is a fragment whose offset and length cannot be: empty,
	// past 65,535 octets, or not a multiple of eight with more to follow.
	ReasonBadFragment
	// ReasonChainTruncated is a chain of extension headers that runs out of
	// the packet.
	ReasonChainTruncated
	// ReasonChainTooLong is a chain with more headers than anyone needs.
	ReasonChainTooLong
	// ReasonChainOrder is a hop-by-hop header that is not first, or a second
	// fragment header (RFC 8200, section 4.1).
	ReasonChainOrder
	// ReasonInboundSourcePort is a segment from a blocked port of a host that
	// is no relay to a dynamic address (triangular spamming).
	ReasonInboundSourcePort
	// ReasonTunneledPort is a connection to a blocked port inside a tunnel that
	// is looked into.
	ReasonTunneledPort
	// ReasonTunnelUnreadable is a tunnel that is looked into and cannot be read.
	ReasonTunnelUnreadable

	// NumReasons sizes arrays that are indexed by Reason.
	NumReasons
)

// String returns the name that logs, metrics and --json use.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

//nolint:gochecknoglobals // a constant table; Go has no constant arrays
var reasonNames = [NumReasons]string{
	ReasonUnset:               "unset",
	ReasonInbound:             "inbound",
	ReasonStatic:              "static",
	ReasonUnlisted:            "unlisted",
	ReasonNotTCP:              "not_tcp",
	ReasonOpaque:              "opaque",
	ReasonOtherPort:           "other_port",
	ReasonRelay:               "relay",
	ReasonNotSYN:              "not_syn",
	ReasonLaterFragment:       "later_fragment",
	ReasonExempt:              "exempt",
	ReasonNotInForce:          "not_in_force",
	ReasonRouter:              "router",
	ReasonBlockedPort:         "blocked_port",
	ReasonEstablished:         "established",
	ReasonMalformed:           "malformed",
	ReasonSourceRoute:         "source_route",
	ReasonMartianSource:       "martian_source",
	ReasonMartianDestination:  "martian_destination",
	ReasonLand:                "land",
	ReasonSpoofedSource:       "spoofed_source",
	ReasonTruncatedTCP:        "truncated_tcp",
	ReasonBadDataOffset:       "bad_data_offset",
	ReasonBadChecksum:         "bad_checksum",
	ReasonSYNRST:              "syn_rst",
	ReasonResetSegment:        "reset_segment",
	ReasonFragmentedSYN:       "fragmented_syn",
	ReasonTinyFragment:        "tiny_fragment",
	ReasonOverlappingFragment: "overlapping_fragment",
	ReasonBadFragment:         "bad_fragment",
	ReasonChainTruncated:      "chain_truncated",
	ReasonChainTooLong:        "chain_too_long",
	ReasonChainOrder:          "chain_order",
	ReasonInboundSourcePort:   "inbound_source_port",
	ReasonTunneledPort:        "tunneled_port",
	ReasonTunnelUnreadable:    "tunnel_unreadable",
}

// Verdict is what Decide says about one packet.
type Verdict struct {
	Action Action
	Reason Reason
}

// SourceValidated reports whether the packet's source was found to be one that
// the gateway may answer. It is false for what was dropped before or because
// of the check of its source: no answer of any kind goes to such a source.
func (v Verdict) SourceValidated() bool {
	switch v.Reason {
	case ReasonMalformed, ReasonSourceRoute, ReasonMartianSource,
		ReasonMartianDestination, ReasonLand, ReasonSpoofedSource, ReasonUnlisted:
		return v.Action == Monitored // only subscribers are
	default:
		return true
	}
}
