// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Level says how bad a Finding is.
type Level string

const (
	// LevelOK is as it should be.
	LevelOK Level = "ok"
	// LevelAdvice is as it should be, and could be faster.
	LevelAdvice Level = "advice"
	// LevelWarn works, but not as well or not for everybody.
	LevelWarn Level = "warn"
	// LevelFail keeps the gateway from running.
	LevelFail Level = "fail"
)

// Finding is one thing that was looked at on the machine.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	// What was found.
	What string `json:"what"`
	// Effect is what it does to customers. Empty when all is well.
	Effect string `json:"effect,omitempty"`
	// Fix is what to type. Empty when all is well.
	Fix string `json:"fix,omitempty"`
}

// Inspect looks at the machine and changes nothing.
func Inspect(p *Plan) []Finding {
	findings := []Finding{inspectTUN(), inspectCapability()}
	for _, iface := range p.realInterfaces() {
		findings = append(findings, inspectInterface(iface))
	}
	for _, port := range p.ports() {
		findings = append(findings, inspectName(port))
	}
	findings = append(findings, inspectForwarding4(p), inspectFamily6(p), inspectReversePath(p), inspectNetfilter())
	return append(findings, inspectRules(p))
}

func inspectTUN() Finding {
	f := Finding{Check: "tun", Level: LevelOK, What: clonePath + " can be opened"}
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		f.fail(openHint(err), "the gateway cannot start")
		return f
	}
	_ = unix.Close(fd)
	return f
}

// fail fills in the finding from an error that may be a Hint.
func (f *Finding) fail(err error, effect string) {
	f.Level, f.What, f.Effect = LevelFail, err.Error(), effect
	if h, ok := errors.AsType[*Hint](err); ok {
		f.What, f.Fix = h.Err.Error(), h.Fix
	}
}

func inspectCapability() Finding {
	f := Finding{Check: "capability", Level: LevelOK, What: "CAP_NET_ADMIN is effective"}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return Finding{Check: "capability", Level: LevelWarn, What: err.Error(), Fix: "mount /proc"}
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		hex, ok := strings.CutPrefix(line, "CapEff:")
		if !ok {
			continue
		}
		caps, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err == nil && caps&(1<<unix.CAP_NET_ADMIN) != 0 {
			return f
		}
	}
	return Finding{
		Check: "capability", Level: LevelFail, What: "CAP_NET_ADMIN is missing", Effect: "the gateway cannot start",
		Fix: "run as root (systemd: AmbientCapabilities=CAP_NET_ADMIN; containers: --cap-add NET_ADMIN)",
	}
}

func inspectInterface(name string) Finding {
	f := Finding{Check: "interface " + name, Level: LevelOK}
	if err := CheckInterface(name); err != nil {
		f.fail(err, "the gateway cannot start")
		return f
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		f.fail(err, "the gateway cannot start")
		return f
	}
	f.What = fmt.Sprintf("%s, MTU %d", link.Attrs().OperState, link.Attrs().MTU)
	if link.Attrs().RawFlags&unix.IFF_UP == 0 {
		f.Level, f.Effect, f.Fix = LevelWarn, "nothing passes this interface", "ip link set dev "+name+" up"
	}
	return f
}

func inspectName(port string) Finding {
	f := Finding{Check: "name " + port, Level: LevelOK, What: "free"}
	if pid, running := Running(port); running && (pid != 0 || os.Geteuid() != 0) {
		f.What = "a gateway is running"
		if pid != 0 {
			f.What += fmt.Sprintf(", process %d", pid)
		}
		return f
	}
	if _, err := netlink.LinkByName(port); err == nil {
		f.Level, f.What, f.Effect = LevelFail, "taken by an interface that is no TUN of a gateway", "the gateway cannot start"
		f.Fix = "remove it, with: ip link del " + port + "; or choose other names in tunnel.subscriber and tunnel.upstream"
	}
	return f
}

func inspectForwarding4(p *Plan) Finding {
	f := Finding{Check: "ipv4 forwarding", Level: LevelOK, What: "on"}
	for _, iface := range p.realInterfaces() {
		if v, err := confForwarding(1).read(iface); err == nil && v == 0 {
			return Finding{
				Check: f.Check, Level: LevelWarn, What: "off on " + iface,
				Effect: "run switches it on, and off again at the end: customers then have no connection",
				Fix:    "sysctl -w net.ipv4.ip_forward=1, and put it into /etc/sysctl.d/",
			}
		}
	}
	return f
}

func inspectFamily6(p *Plan) Finding {
	f := Finding{Check: "ipv6", Level: LevelOK, What: "on, and forwarded"}
	if !p.IPv6 {
		f.What = "off on every subscriber interface: nothing to do"
		return f
	}
	if v, err := readInt(ipv6Forwarding); err != nil || v == 0 {
		f.Level, f.What = LevelWarn, "on, but not forwarded"
		f.Effect = "subscribers have no IPv6 through this machine unless run can switch it on"
		f.Fix = "sysctl -w net.ipv6.conf.all.forwarding=1, and put it into /etc/sysctl.d/"
	}
	return f
}

// inspectReversePath computes the effective mode: the larger of all and the
// interface's (Linux Documentation/networking/ip-sysctl.rst).
func inspectReversePath(p *Plan) Finding {
	const name = "rp_filter"
	all, _ := readInt(conf{name: name}.path("all"))
	var strict []string
	for _, iface := range p.realInterfaces() {
		if v, err := (conf{name: name}).read(iface); err == nil && max(v, all) == 1 {
			strict = append(strict, iface)
		}
	}
	f := Finding{Check: "reverse path filter", Level: LevelOK, What: "not strict"}
	if len(strict) > 0 {
		f.What = "strict on " + strings.Join(strict, ", ") + ": fine there; the TUN interfaces are set to loose (2), which wins"
	}
	return f
}

func inspectNetfilter() Finding {
	f := Finding{Check: "netfilter", Level: LevelOK, What: "nf_tables answers"}
	conn, err := nftables.New()
	if err == nil {
		_, err = conn.ListTables()
	}
	if err == nil {
		return f
	}
	f.Level, f.What = LevelFail, "nf_tables does not answer: "+err.Error()
	f.Effect, f.Fix = "the gateway cannot start", "modprobe nf_tables"
	return f
}

// inspectRules looks for policy rules of others that come before ours.
func inspectRules(p *Plan) Finding {
	f := Finding{Check: "policy rules", Level: LevelOK, What: "none of others before ours"}
	for _, family := range p.families() {
		rules, err := netlink.RuleList(family)
		if err != nil {
			continue
		}
		for _, r := range rules {
			if r.Priority > 0 && r.Priority < p.Priority && r.Protocol != Protocol {
				return Finding{
					Check: f.Check, Level: LevelWarn, What: r.String() + " comes first",
					Effect: "subscribers' packets that it matches do not enter the gateway",
					Fix:    fmt.Sprintf("set forwarding.priority below %d if that is not meant", r.Priority),
				}
			}
		}
	}
	return f
}
