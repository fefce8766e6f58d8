// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Features of an interface that decide whether what it receives reaches the TUN in
// super-packets, by the kernel's names (net/ethtool/common.c,
// netdev_features_strings).
const (
	// featureGRO puts TCP segments together.
	featureGRO = "rx-gro"
	// featureUDP does the same for UDP that is forwarded (Linux 5.12). Off by
	// default, since it adds latency where there is nothing to put together.
	featureUDP = "rx-udp-gro-forwarding"
	// featureList chains packets instead of putting them together, and comes before
	// featureUDP (udp_gro_receive). No TUN takes such a chain: the kernel cuts it up
	// again in front of it. From Linux 6.10 on that holds for TCP too.
	featureList = "rx-gro-list"
	// featureLRO puts TCP segments together in a way that cannot be undone. The
	// kernel switches it off where it forwards (dev_disable_lro), but not later, when
	// somebody switches it on. rx-gro-hw is not the same: what it puts together can be
	// cut up again (Documentation/networking/netdev-features.rst), and on virtio it
	// is what lets super-packets in.
	featureLRO = "rx-lro"
)

// remedy is one feature that is not as it should be.
type remedy struct {
	feature string
	on      bool   // as it should be
	word    string // what ethtool -K calls it
	effect  string // of leaving it as it is
}

// remedies come in the order in which they must be typed. The gains are those of
// BenchmarkReceive in e2e; see docs/live.md.
func remedies() []remedy {
	return []remedy{
		{featureLRO, false, "lro", "TCP segments are put together for good, and what does not fit the next link's MTU is lost"},
		{featureList, false, "rx-gro-list", "super-packets are cut up again in front of the TUN: without that bulk TCP and UDP were 2.5 to 3.5 times as fast"},
		{featureGRO, true, "gro", "each TCP segment enters the gateway by itself: in super-packets bulk TCP was 3.8 times as fast for a quarter of the processor time"},
		{featureUDP, true, "rx-udp-gro-forwarding", "each UDP datagram enters the gateway by itself: in super-packets bulk UDP (QUIC, VPNs) was 3.5 times as fast for a quarter of the processor time"},
	}
}

// InspectReceive looks at how the real interfaces, or what is below them, hand over
// what they receive, and changes nothing. Whatever it finds is advice: it costs
// speed only.
func InspectReceive(p *Plan) []Finding {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return nil // without it there is no advice
	}
	defer e.Close()
	var findings []Finding
	for _, link := range receivers(p.realInterfaces()) {
		features, err := e.FeaturesWithState(link.Attrs().Name)
		if err != nil {
			continue // this driver does not say
		}
		// By default a veth puts nothing together: what it receives comes from this
		// machine, as large as its sender made it.
		if link.Type() == "veth" && !features[featureGRO].Active {
			continue
		}
		if f, ok := judgeReceive(link.Attrs().Name, features); ok {
			findings = append(findings, f)
		}
	}
	return findings
}

// judgeReceive makes a finding of an interface's features. It has none for one that
// lacks those that matter.
func judgeReceive(name string, features map[string]ethtool.FeatureState) (Finding, bool) {
	if _, known := features[featureGRO]; !known {
		return Finding{}, false
	}
	f := Finding{Check: "super-packets " + name, Level: LevelOK, What: "TCP and UDP are put together as far as the driver can"}
	var wrong, effects, words []string
	for _, r := range remedies() {
		state, known := features[r.feature]
		if !known || state.Active == r.on || !state.Available || state.NeverChanged {
			continue
		}
		wrong = append(wrong, r.feature+" is "+onOff(!r.on))
		effects = append(effects, r.effect)
		words = append(words, r.word+" "+onOff(r.on))
	}
	if len(wrong) > 0 {
		f.Level, f.What, f.Effect = LevelAdvice, strings.Join(wrong, ", "), strings.Join(effects, "; ")
		f.Fix = fmt.Sprintf("ethtool -K %s %s", name, strings.Join(words, " "))
	}
	return f, true
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// receivers returns the interfaces that receive for those named, each once: a VLAN's
// packets are put together where the card takes them in, a bond's and a bridge's at
// their members. What has no such place, such as a PPP session or a TUN, is left out.
func receivers(names []string) []netlink.Link {
	links, err := netlink.LinkList()
	if err != nil {
		return nil
	}
	var found []netlink.Link
	for _, name := range names {
		if i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Name == name }); i >= 0 {
			found = append(found, receiversBelow(links[i], links, maxNesting)...)
		}
	}
	index := func(l netlink.Link) int { return l.Attrs().Index }
	slices.SortFunc(found, func(a, b netlink.Link) int { return index(a) - index(b) })
	return slices.CompactFunc(found, func(a, b netlink.Link) bool { return index(a) == index(b) })
}

// maxNesting is how deep the kernel lets interfaces be stacked (MAX_NEST_DEV).
const maxNesting = 8

func receiversBelow(link netlink.Link, links []netlink.Link, depth int) []netlink.Link {
	attrs := link.Attrs()
	var below func(*netlink.LinkAttrs) bool
	switch link.Type() {
	case "device": // a card, or what stands for one
		if attrs.RawFlags&unix.IFF_LOOPBACK != 0 {
			return nil
		}
		return []netlink.Link{link}
	case "veth":
		return []netlink.Link{link}
	case "vlan", "macvlan":
		below = func(a *netlink.LinkAttrs) bool { return a.Index == attrs.ParentIndex && attrs.NetNsID < 0 }
	case "bond", "bridge", "team":
		below = func(a *netlink.LinkAttrs) bool { return a.MasterIndex == attrs.Index }
	}
	if below == nil || depth == 0 {
		return nil
	}
	var found []netlink.Link
	for _, l := range links {
		if below(l.Attrs()) {
			found = append(found, receiversBelow(l, links, depth-1)...)
		}
	}
	return found
}
