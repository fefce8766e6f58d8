// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestJudgeReceive(t *testing.T) {
	t.Parallel()
	const (
		off   = "off"
		on    = "on"
		fixed = "fixed" // and not as it should be
		held  = "held"  // the driver would, something keeps it from it
	)
	states := map[string]map[string]ethtool.FeatureState{
		featureGRO:  {off: {Available: true}, on: {Available: true, Active: true}, fixed: {NeverChanged: true}, held: {}},
		featureUDP:  {off: {Available: true}, on: {Available: true, Active: true}, fixed: {NeverChanged: true}},
		featureList: {off: {Available: true}, on: {Available: true, Active: true}},
		featureLRO:  {off: {Available: true}, on: {Available: true, Active: true}, fixed: {Active: true}},
	}
	for _, tt := range []struct {
		gro, udp, list, lro string
		what, fix           string // of the advice; empty: none
	}{
		{gro: on, udp: on, list: off, lro: off},
		{gro: on, udp: off, list: off, lro: off, what: "rx-udp-gro-forwarding is off", fix: "rx-udp-gro-forwarding on"},
		{gro: off, udp: on, list: off, lro: off, what: "rx-gro is off", fix: "gro on"},
		{gro: off, udp: off, list: off, lro: off, what: "rx-gro is off, rx-udp-gro-forwarding is off", fix: "gro on rx-udp-gro-forwarding on"},
		{gro: on, udp: on, list: on, lro: off, what: "rx-gro-list is on", fix: "rx-gro-list off"},
		{gro: on, udp: on, list: off, lro: on, what: "rx-lro is on", fix: "lro off"},
		{
			gro: off, udp: off, list: on, lro: on,
			what: "rx-lro is on, rx-gro-list is on, rx-gro is off, rx-udp-gro-forwarding is off",
			fix:  "lro off rx-gro-list off gro on rx-udp-gro-forwarding on",
		},
		{gro: on, udp: on}, // an older kernel or a driver without the others
		{gro: on},          // before Linux 5.12
		{gro: on, udp: fixed, list: off, lro: fixed},
		{gro: fixed, udp: on, list: off, lro: off},
		{gro: held, udp: on, list: off, lro: off},
	} {
		features := map[string]ethtool.FeatureState{}
		for feature, state := range map[string]string{featureGRO: tt.gro, featureUDP: tt.udp, featureList: tt.list, featureLRO: tt.lro} {
			if state != "" {
				features[feature] = states[feature][state]
			}
		}
		got, ok := judgeReceive("eth7", features)
		want := Finding{Check: "super-packets eth7", Level: LevelOK, What: got.What}
		if tt.what != "" {
			want.Level, want.What, want.Fix, want.Effect = LevelAdvice, tt.what, "ethtool -K eth7 "+tt.fix, got.Effect
		}
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("%+v: (-want +got):\n%s", tt, diff)
		}
		if parts := strings.Count(got.Effect, "; ") + 1; tt.what != "" && parts != strings.Count(tt.what, ", ")+1 {
			t.Errorf("%+v: the effects are %q", tt, got.Effect)
		}
	}
	if f, ok := judgeReceive("ppp0", map[string]ethtool.FeatureState{featureUDP: {Available: true}}); ok {
		t.Errorf("an interface without GRO: %+v", f)
	}
}

// TestInspectReceive asks the kernel, with ethtool's own program as the operator.
func TestInspectReceive(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		p := testPlan(t)
		wantAdvice(t, &p, nil) // a veth puts nothing together by default

		output(t, "ethtool", "-K", "sub0", "gro", "on", "rx-udp-gro-forwarding", "off")
		advice := map[string]string{"super-packets sub0": "ethtool -K sub0 rx-udp-gro-forwarding on"}
		wantAdvice(t, &p, advice)

		// What was advised helps: nothing is left to advise.
		output(t, "ethtool", "-K", "sub0", "rx-udp-gro-forwarding", "on")
		wantAdvice(t, &p, map[string]string{"super-packets sub0": ""})
		output(t, "ethtool", "-K", "sub0", "rx-gro-list", "on")
		wantAdvice(t, &p, map[string]string{"super-packets sub0": "ethtool -K sub0 rx-gro-list off"})

		p.Subscribers = []string{"absent0", "lo"}
		wantAdvice(t, &p, nil)
	})
}

// TestReceiversBelow looks below what is stacked.
func TestReceiversBelow(t *testing.T) {
	t.Parallel()
	const eth0, eth1, bond0, vlan, far, br0, tap, lo, loop = 1, 2, 3, 4, 5, 6, 7, 8, 9
	attrs := func(index int, name string, parent, master, netns int) netlink.LinkAttrs {
		return netlink.LinkAttrs{Index: index, Name: name, ParentIndex: parent, MasterIndex: master, NetNsID: netns}
	}
	loopback := attrs(lo, "lo", 0, 0, -1)
	loopback.RawFlags = unix.IFF_LOOPBACK
	links := []netlink.Link{
		&netlink.Device{LinkAttrs: attrs(eth0, "eth0", 0, bond0, -1)},
		&netlink.Device{LinkAttrs: attrs(eth1, "eth1", 0, bond0, -1)},
		&netlink.Bond{LinkAttrs: attrs(bond0, "bond0", 0, 0, -1)},
		&netlink.Vlan{LinkAttrs: attrs(vlan, "bond0.7", bond0, br0, -1)},
		&netlink.Macvlan{LinkAttrs: attrs(far, "mac0", eth0, 0, 3)}, // the other one is somewhere else
		&netlink.Bridge{LinkAttrs: attrs(br0, "br0", 0, 0, -1)},
		&netlink.Tuntap{LinkAttrs: attrs(tap, "tap0", 0, br0, -1)},
		&netlink.Device{LinkAttrs: loopback},
		&netlink.Vlan{LinkAttrs: attrs(loop, "loop0", loop, 0, -1)}, // the kernel has none such
	}
	for name, want := range map[int][]string{
		eth0: {"eth0"}, bond0: {"eth0", "eth1"}, vlan: {"eth0", "eth1"}, br0: {"eth0", "eth1"}, far: nil, tap: nil, lo: nil, loop: nil,
	} {
		var got []string
		for _, l := range receiversBelow(links[name-1], links, maxNesting) {
			got = append(got, l.Attrs().Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", links[name-1].Attrs().Name, diff)
		}
	}
}

// wantAdvice compares the fixes, by the names of the checks; a check that finds
// nothing has none.
func wantAdvice(t *testing.T, p *Plan, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, f := range InspectReceive(p) {
		got[f.Check] = f.Fix
		if (f.Level == LevelAdvice) != (f.Fix != "") || (f.Fix != "") != (f.Effect != "") {
			t.Errorf("%+v is not consistent", f)
		}
	}
	if len(got)+len(want) > 0 && !cmp.Equal(want, got) {
		t.Errorf("%v (-want +got):\n%s", p.Subscribers, cmp.Diff(want, got))
	}
}
