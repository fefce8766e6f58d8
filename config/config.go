// SPDX-License-Identifier: Apache-2.0

package config

import "net/netip"

// DefaultPath is where the packaged service and the commands look for the
// configuration unless told otherwise.
const DefaultPath = "/etc/op25b/op25b.yaml"

// Config is a whole configuration. Its keys are the lower-case names in the
// mapstructure tags. The zero value is not usable: start from [Default], or get
// one from [Load]. A loaded Config is not changed by this package any more;
// share it freely as long as nobody else changes it either.
type Config struct {
	Interfaces Interfaces `mapstructure:"interfaces"`
	Tunnel     Tunnel     `mapstructure:"tunnel"`
	Forwarding Forwarding `mapstructure:"forwarding"`
	Policy     Policy     `mapstructure:"policy"`
	// Leases tell who had an address. Empty: nobody does.
	Leases  []LeaseSource `mapstructure:"leases"`
	Journal Journal       `mapstructure:"journal"`
	// Attempts are counted by subscriber and hour.
	Attempts Attempts `mapstructure:"attempts"`
	Texts    Texts    `mapstructure:"texts"`
	// SelfCheck is for subscribers, Console for operators.
	SelfCheck SelfCheck `mapstructure:"self_check"`
	Control   Control   `mapstructure:"control"`
	Console   Console   `mapstructure:"console"`
	Log       Log       `mapstructure:"log"`
}

// Interfaces names the machine's own links. Both keys have to be given.
type Interfaces struct {
	// Subscriber lists where subscriber traffic enters: one name or more,
	// none twice. Empty is refused.
	Subscriber []string `mapstructure:"subscriber"`
	// Upstream is where traffic leaves. Empty is refused.
	Upstream string `mapstructure:"upstream"`
}

// Tunnel describes the two TUN interfaces that the gateway creates.
type Tunnel struct {
	// Subscriber and Upstream are the names of the two interfaces, different
	// from each other and from the real ones. Empty is refused.
	Subscriber string `mapstructure:"subscriber"`
	Upstream   string `mapstructure:"upstream"`
	// MTU of both interfaces; zero is auto.
	MTU MTU `mapstructure:"mtu"`
	// Queues of each interface; zero is auto.
	Queues Queues `mapstructure:"queues"`
	// Offload says whether super-packets pass whole.
	Offload Feature `mapstructure:"offload"`
	// IOUring says whether frames are read and written many at once.
	IOUring Feature `mapstructure:"io_uring"`
	// BusyPoll is how many microseconds, at most, a worker looks for the next
	// frame before it sleeps, 0 to 1000. Zero: it sleeps at once.
	BusyPoll int `mapstructure:"busy_poll"`
	// Addresses are those that the gateway itself answers on: it replies to
	// ping, refuses TCP as a closed port does, and sends its ICMP errors from
	// the first one of the family. Empty: it has no address of its own.
	Addresses []netip.Addr `mapstructure:"addresses"`
}

// Forwarding says which traffic takes the way through the gateway, and how.
type Forwarding struct {
	Capture          Capture          `mapstructure:"capture"`
	ReturnPath       ReturnPath       `mapstructure:"return_path"`
	Hop              Hop              `mapstructure:"hop"`
	SourceValidation SourceValidation `mapstructure:"source_validation"`
	OnExit           OnExit           `mapstructure:"on_exit"`
	// Table is the routing table for traffic from subscribers, 1 to 251 or
	// 256 to 2147483646; Table+1 is the one for the way back. Zero is refused.
	Table int `mapstructure:"table"`
	// Priority is that of the first policy routing rule, 1 to 32700; rules
	// take Priority to Priority+63. Zero is refused.
	Priority int     `mapstructure:"priority"`
	Answers  Answers `mapstructure:"answers"`
}

// Answers bound how many refusals are answered, in packets a second and for
// each queue; twice as many may come at once. A refusal above them is dropped.
type Answers struct {
	// PerSubscriber is for one IPv4 address or IPv6 /56, 16 to 1,000,000. Zero:
	// nothing is limited.
	PerSubscriber int `mapstructure:"per_subscriber"`
	// Total is for all subscribers together, 16 to 10,000,000, except for the
	// first attempts of each. Zero: no such limit.
	Total int `mapstructure:"total"`
}

// Policy says which connections are refused, and to whom.
type Policy struct {
	// Ports are the TCP destination ports that dynamic addresses may not
	// reach. Empty is refused.
	Ports             []uint16          `mapstructure:"ports"`
	Established       Established       `mapstructure:"established"`
	InboundSourcePort InboundSourcePort `mapstructure:"inbound_source_port"`
	// InspectTunnels are the encapsulations whose inner packet is judged as well.
	// Empty: none is looked into.
	InspectTunnels []Encapsulation `mapstructure:"inspect_tunnels"`
	// Destinations are the groups to which phases and brownouts can be limited.
	// Empty: there is none.
	Destinations []Destinations `mapstructure:"destinations"`
	// Relays are the submission servers that stay reachable on Ports. Empty:
	// none is.
	Relays []Relay `mapstructure:"relays"`
	// Pools are the subscribers' addresses; the longest prefix wins. At least
	// one is dynamic.
	Pools []Pool `mapstructure:"pools"`
	// Exemptions are the paths of files of exemptions, each once; nothing here reads
	// them. Relative ones were resolved by [Load]. Empty: there is none.
	Exemptions []string `mapstructure:"exemptions"`
	Rollout    Rollout  `mapstructure:"rollout"`
}

// Relay is a destination that subscribers may reach on the policy's ports.
type Relay struct {
	// Name is unique among relays; it shows up in explanations and logs.
	Name string `mapstructure:"name"`
	// Prefixes are masked, and none is that of another relay. [Load] adds those
	// of PrefixesFile to them.
	Prefixes []netip.Prefix `mapstructure:"prefixes"`
	// PrefixesFile is the path of a list of prefixes, as it was written. Empty:
	// there is none.
	PrefixesFile string `mapstructure:"prefixes_file"`
	// Pools are the names of those whose subscribers may reach it, each once. Empty:
	// every subscriber may.
	Pools []string `mapstructure:"pools"`
	// Until is the first moment when it is a relay no more. Zero: it stays one.
	Until Time `mapstructure:"until"`
}

// Pool is a set of subscriber addresses that are treated alike.
type Pool struct {
	// Name is unique among pools; it shows up in explanations and logs.
	Name string `mapstructure:"name"`
	// Prefixes are masked, and none is that of another pool. [Load] adds those
	// of PrefixesFile to them.
	Prefixes []netip.Prefix `mapstructure:"prefixes"`
	// PrefixesFile is the path of a list of prefixes, as it was written. Empty:
	// there is none.
	PrefixesFile string     `mapstructure:"prefixes_file"`
	Assignment   Assignment `mapstructure:"assignment"`
	// Response is empty for a static pool, where nothing is refused. A dynamic
	// pool that has none gets [ResponseReset] from [Load].
	Response Response `mapstructure:"response"`
	// Mode is empty for a static pool. A dynamic pool that has none gets
	// [ModeRefuse] from [Load].
	Mode Mode `mapstructure:"mode"`
	// Delegation is zero for a static pool. A dynamic pool that has none gets 56
	// from [Load].
	Delegation Delegation `mapstructure:"delegation"`
}

// Journal is the history of policies and leases that is kept on disk.
type Journal struct {
	// Path is the absolute path of the file. Empty: nothing is kept.
	Path string `mapstructure:"path"`
	// Retention is how long an entry is kept, 1 to 3650 days. Zero is refused.
	Retention Duration `mapstructure:"retention"`
	// Destinations says how much of a destination's address is kept.
	Destinations JournalDestinations `mapstructure:"destinations"`
}

// Attempts says how attempts to reach a blocked port are counted.
type Attempts struct {
	// Subscribers is how many are counted one by one in an hour, 1,024 to 1,000,000. Each
	// takes some 700 octets of memory, also one that somebody has made up. Zero is
	// refused.
	Subscribers int `mapstructure:"subscribers"`
	// Providers are the servers to which customers of mail providers submit their mail,
	// masked and each once. Who only tries those has a mail program that is set up wrongly.
	// Empty: none is known.
	Providers []netip.Prefix `mapstructure:"providers"`
}

// Texts are what is said to customers.
type Texts struct {
	// Directory is the path of a directory with the operator's own templates,
	// en.txt and ja.txt. A relative one was resolved by [Load]. Empty: the built-in
	// ones are used.
	Directory string `mapstructure:"directory"`
	// Notice is what [ResponseNotice] says behind "554 5.7.1 ": one line of printable
	// ASCII, 1 to 400 octets. Empty is refused.
	Notice string `mapstructure:"notice"`
}

// SelfCheck is a page on which subscribers see how it is with their own line.
type SelfCheck struct {
	// Listen is where it is served: addresses of [Tunnel.Addresses], each with a port.
	// Empty: nowhere.
	Listen []netip.AddrPort `mapstructure:"listen"`
	// Provider and Contact are shown as they are: who says so, and how to reach them.
	// Empty: nothing is.
	Provider string `mapstructure:"provider"`
	Contact  string `mapstructure:"contact"`
	// Servers are the names of the provider's own submission servers. Empty: the page
	// leaves it to the subscriber to know.
	Servers []string `mapstructure:"servers"`
	// Shared are the addresses that several lines may share, as behind a carrier-grade
	// NAT: of them the page says so. Empty: none is.
	Shared []netip.Prefix `mapstructure:"shared"`
}

// Console is the web console for operators.
type Console struct {
	// Listen is a loopback address with a port, or "unix:" and the absolute path of a
	// socket. Empty: there is none.
	Listen string `mapstructure:"listen"`
	// TokenFile is the path of the file with the tokens that let somebody in. A relative
	// one was resolved by [Load]. Empty: nobody gets in but by a socket.
	TokenFile string `mapstructure:"token_file"`
	// Access says whether those who are in may change something.
	Access Access `mapstructure:"access"`
}

// Control is how a running gateway is asked and watched.
type Control struct {
	// Socket is the absolute path of the unix socket, 107 bytes at most. Empty
	// is refused.
	Socket string `mapstructure:"socket"`
	// Metrics is the host:port that serves metrics. Empty: off.
	Metrics string `mapstructure:"metrics"`
}

// Log is how the gateway talks.
type Log struct {
	Level  LogLevel  `mapstructure:"level"`
	Format LogFormat `mapstructure:"format"`
}

// Default returns the values of all keys that were not written, anew for each
// call. Interfaces and pools have none: only the operator knows them.
func Default() Config {
	return Config{
		Tunnel: Tunnel{
			Subscriber: "op25b-sub",
			Upstream:   "op25b-up",
			Offload:    FeatureAuto,
			IOUring:    FeatureAuto,
			BusyPoll:   100,
		},
		Forwarding: Forwarding{
			Capture:          CaptureAll,
			ReturnPath:       ReturnPathKernel,
			Hop:              HopDecrement,
			SourceValidation: SourceValidationStrict,
			OnExit:           OnExitRejectSMTP,
			Table:            25,
			Priority:         2500,
			Answers:          Answers{PerSubscriber: 100, Total: 2000},
		},
		Policy: Policy{
			Ports:             []uint16{25},
			Established:       EstablishedKeep,
			InboundSourcePort: InboundSourcePortAllow,
		},
		Journal:  Journal{Retention: Days(90), Destinations: JournalDestinationsFull},
		Attempts: Attempts{Subscribers: 4096},
		Texts: Texts{Notice: "Direct mail to port 25 is refused on this line, to stop spam. " +
			"Use port 587 (STARTTLS) or 465 (TLS) of your mail provider, with your user name and password"},
		Console: Console{Access: AccessRead},
		Control: Control{
			Socket:  "/run/op25b/op25b.sock",
			Metrics: "127.0.0.1:9925",
		},
		Log: Log{Level: LogLevelInfo, Format: LogFormatJSON},
	}
}

// complete fills in the defaults of list items, which Default cannot hold.
func (c *Config) complete() {
	for i := range c.Policy.Pools {
		c.Policy.Pools[i].complete()
	}
	c.Policy.Rollout.complete()
}

func (p *Pool) complete() {
	if p.Assignment != AssignmentDynamic {
		return
	}
	if p.Response == "" {
		p.Response = ResponseReset
	}
	if p.Mode == "" {
		p.Mode = ModeRefuse
	}
	if p.Delegation == 0 {
		p.Delegation = 56
	}
}
