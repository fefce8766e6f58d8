// SPDX-License-Identifier: Apache-2.0

package config

import "strconv"

// MTU is in bytes, 1280 to 65535: the lower end is what IPv6 needs of a link
// (RFC 8200 section 5). Zero is auto: the smallest of the real interfaces' MTUs.
type MTU int

// String returns "auto" or the number.
func (m MTU) String() string { return autoString(int(m)) }

// Queues is a number of queues, 1 to 16. Zero is auto: one per CPU.
type Queues int

// String returns "auto" or the number.
func (q Queues) String() string { return autoString(int(q)) }

func autoString(n int) string {
	if n == 0 {
		return auto
	}
	return strconv.Itoa(n)
}

// Delegation is the length of the IPv6 prefix that is one subscriber, 48 to 64. Zero:
// it was not written. An IPv4 subscriber is a single address.
type Delegation int

// auto is how the file spells the zero value of MTU and Queues.
const auto = "auto"

// closed is a string type with a fixed set of values.
type closed interface {
	// allowed lists the values in the order in which messages show them.
	allowed() []string
}

func names[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// Feature says whether something is used that not every kernel has.
type Feature string

// FeatureAuto uses what the kernel has and says what it found; FeatureOn fails to
// start without; FeatureOff never asks.
const (
	FeatureAuto Feature = "auto"
	FeatureOn   Feature = "on"
	FeatureOff  Feature = "off"
)

func (Feature) allowed() []string {
	return names(FeatureAuto, FeatureOn, FeatureOff)
}

// Capture says which subscriber traffic enters the TUN.
type Capture string

// CaptureAll takes everything; CaptureSMTP takes TCP to the policy's ports and
// what could hide it, the kernel forwards the rest.
const (
	CaptureAll  Capture = "all"
	CaptureSMTP Capture = "smtp"
)

func (Capture) allowed() []string {
	return names(CaptureAll, CaptureSMTP)
}

// ReturnPath says how traffic from upstream gets back to subscribers.
type ReturnPath string

// ReturnPathKernel leaves it to the kernel; ReturnPathRouter takes it through
// the TUN too.
const (
	ReturnPathKernel ReturnPath = "kernel"
	ReturnPathRouter ReturnPath = "router"
)

func (ReturnPath) allowed() []string {
	return names(ReturnPathKernel, ReturnPathRouter)
}

// Hop says what forwarding does to the hop limit (IPv4: time to live).
type Hop string

// HopDecrement counts it down once, as a router has to; HopTransparent leaves it
// as it came.
const (
	HopDecrement   Hop = "decrement"
	HopTransparent Hop = "transparent"
)

func (Hop) allowed() []string {
	return names(HopDecrement, HopTransparent)
}

// SourceValidation says which source addresses subscribers may use.
type SourceValidation string

// SourceValidationStrict lets only addresses inside a pool pass;
// SourceValidationOff lets all pass, and what is in no pool is not refused
// anything.
const (
	SourceValidationStrict SourceValidation = "strict"
	SourceValidationOff    SourceValidation = "off"
)

func (SourceValidation) allowed() []string {
	return names(SourceValidationStrict, SourceValidationOff)
}

// OnExit says what the kernel does with subscriber traffic while the gateway is
// down.
type OnExit string

// OnExitRejectSMTP refuses the policy's ports and forwards the rest;
// OnExitForward forwards everything; OnExitBlackhole drops everything.
const (
	OnExitRejectSMTP OnExit = "reject-smtp"
	OnExitForward    OnExit = "forward"
	OnExitBlackhole  OnExit = "blackhole"
)

func (OnExit) allowed() []string {
	return names(OnExitRejectSMTP, OnExitForward, OnExitBlackhole)
}

// Established says which segments of a connection are judged.
type Established string

// EstablishedKeep judges SYNs only, so sessions that are up stay up;
// EstablishedReset judges every segment to the policy's ports.
const (
	EstablishedKeep  Established = "keep"
	EstablishedReset Established = "reset"
)

func (Established) allowed() []string {
	return names(EstablishedKeep, EstablishedReset)
}

// InboundSourcePort says what becomes of segments that come from one of the
// policy's ports to a dynamic address.
type InboundSourcePort string

// InboundSourcePortAllow lets them pass; InboundSourcePortBlock drops them, and
// needs [ReturnPathRouter] to see them.
const (
	InboundSourcePortAllow InboundSourcePort = "allow"
	InboundSourcePortBlock InboundSourcePort = "block"
)

func (InboundSourcePort) allowed() []string {
	return names(InboundSourcePortAllow, InboundSourcePortBlock)
}

// Encapsulation is a way to carry one packet in another.
type Encapsulation string

// EncapsulationIPIP carries IPv4, Encapsulation6in4 IPv6, and EncapsulationGRE
// either in GRE.
const (
	EncapsulationIPIP Encapsulation = "ipip"
	Encapsulation6in4 Encapsulation = "6in4"
	EncapsulationGRE  Encapsulation = "gre"
)

func (Encapsulation) allowed() []string {
	return names(EncapsulationIPIP, Encapsulation6in4, EncapsulationGRE)
}

// Assignment says how the addresses of a pool are given to subscribers.
type Assignment string

// AssignmentDynamic addresses are refused the policy's ports; AssignmentStatic
// ones are not.
const (
	AssignmentDynamic Assignment = "dynamic"
	AssignmentStatic  Assignment = "static"
)

func (Assignment) allowed() []string {
	return names(AssignmentDynamic, AssignmentStatic)
}

// Response says how a connection is refused. Empty: not at all (static pools).
type Response string

// ResponseReset answers with a TCP RST; ResponseProhibited with an ICMP error,
// communication administratively prohibited; ResponseDrop with nothing; ResponseNotice
// with a connection that says why, as long as there is room, and else with a RST.
const (
	ResponseReset      Response = "reset"
	ResponseProhibited Response = "prohibited"
	ResponseDrop       Response = "drop"
	ResponseNotice     Response = "notice"
)

func (Response) allowed() []string {
	return names(ResponseReset, ResponseProhibited, ResponseDrop, ResponseNotice)
}

// Access says what somebody may do.
type Access string

// AccessRead lets look, AccessChange lets reload too.
const (
	AccessRead   Access = "read"
	AccessChange Access = "change"
)

func (Access) allowed() []string { return names(AccessRead, AccessChange) }

// Mode says whether what matches is refused.
type Mode string

// ModeRefuse refuses it; ModeMonitor lets it pass and counts it.
const (
	ModeRefuse  Mode = "refuse"
	ModeMonitor Mode = "monitor"
)

func (Mode) allowed() []string {
	return names(ModeRefuse, ModeMonitor)
}

// LeaseKind says where leases are learnt from.
type LeaseKind string

// LeaseDnsmasq, LeaseISC and LeaseKea read the file of that DHCP server;
// LeaseKeaSocket asks Kea on its control socket; LeaseRADIUS receives accounting.
const (
	LeaseDnsmasq   LeaseKind = "dnsmasq"
	LeaseISC       LeaseKind = "isc-dhcpd"
	LeaseKea       LeaseKind = "kea"
	LeaseKeaSocket LeaseKind = "kea-socket"
	LeaseRADIUS    LeaseKind = "radius"
)

func (LeaseKind) allowed() []string {
	return names(LeaseDnsmasq, LeaseISC, LeaseKea, LeaseKeaSocket, LeaseRADIUS)
}

// JournalDestinations says how much the journal keeps of a destination's address.
type JournalDestinations string

// JournalDestinationsFull keeps the address, JournalDestinationsTruncated a prefix
// that holds it, and JournalDestinationsNone nothing.
const (
	JournalDestinationsFull      JournalDestinations = "full"
	JournalDestinationsTruncated JournalDestinations = "truncated"
	JournalDestinationsNone      JournalDestinations = "none"
)

func (JournalDestinations) allowed() []string {
	return names(JournalDestinationsFull, JournalDestinationsTruncated, JournalDestinationsNone)
}

// LogLevel is the least severity that is logged.
type LogLevel string

// The levels, from most to least talkative.
const (
	LogLevelDebug LogLevel = "debug"
	LogLevelInfo  LogLevel = "info"
	LogLevelWarn  LogLevel = "warn"
	LogLevelError LogLevel = "error"
)

func (LogLevel) allowed() []string {
	return names(LogLevelDebug, LogLevelInfo, LogLevelWarn, LogLevelError)
}

// LogFormat is how a log line is written.
type LogFormat string

// LogFormatJSON is for machines, one object a line; LogFormatConsole for people.
const (
	LogFormatJSON    LogFormat = "json"
	LogFormatConsole LogFormat = "console"
)

func (LogFormat) allowed() []string {
	return names(LogFormatJSON, LogFormatConsole)
}
