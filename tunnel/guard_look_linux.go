// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// guardExists reports whether the guard's table is in the kernel. A kernel
// without nf_tables has none.
func guardExists() bool {
	conn, err := nftables.New()
	if err != nil {
		return false
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return false
	}
	for _, t := range tables {
		if t.Name == guardTable {
			return true
		}
	}
	return false
}

// askNetfilter sends one question of nf_tables' and returns the answers.
func askNetfilter(question uint8, family byte, attributes []byte) ([]netlink.Message, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open netfilter: %w", err)
	}
	defer conn.Close()
	return conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | netlink.HeaderType(question), Flags: netlink.Request},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attributes...), // behind struct nfgenmsg
	})
}

// generation returns the number of changes to all of netfilter's rules so far.
func generation() (uint32, error) {
	answers, err := askNetfilter(unix.NFT_MSG_GETGEN, unix.NFPROTO_UNSPEC, nil)
	if err != nil {
		return 0, fmt.Errorf("ask for netfilter's generation: %w", err)
	}
	for _, answer := range answers {
		const header = 4 // struct nfgenmsg
		attrs, err := netlink.UnmarshalAttributes(answer.Data[min(header, len(answer.Data)):])
		if err != nil {
			return 0, fmt.Errorf("read netfilter's generation: %w", err)
		}
		for _, a := range attrs {
			if a.Type == unix.NFTA_GEN_ID && len(a.Data) == 4 { // octets
				return binary.BigEndian.Uint32(a.Data), nil
			}
		}
	}
	return 0, errors.New("netfilter does not tell its generation")
}

// guardChains returns how many rules each chain of the guard has.
func (p *Plan) guardChains() map[string]int {
	chains := map[string]int{"forward": len(p.Subscribers), "subscriber": 4, "guard4": 7, "guard6": 7}
	if p.Guard.Answers > 0 {
		chains[floodChain], chains[floodJudge] = len(p.Subscribers), 5
	}
	return chains
}

// guardPresent reports whether the guard is as it was loaded, by counting: someone
// may have flushed a chain or a set, or all of it.
func (h *Host) guardPresent() bool {
	if !guardExists() {
		return false
	}
	conn, err := nftables.New()
	if err != nil {
		return false
	}
	table := &nftables.Table{Name: guardTable, Family: nftables.TableFamilyINet}
	for chain, want := range h.plan.guardChains() {
		rules, err := conn.GetRules(table, &nftables.Chain{Name: chain, Table: table})
		if err != nil || len(rules) != want {
			return false
		}
	}
	for _, s := range h.plan.guardSets() {
		if !s.present(conn, table) {
			return false
		}
	}
	return true
}

const (
	// countable is how many elements of a set are counted. A list of them takes 1.7 KB for
	// each, and the kernel a time that grows with the square: two minutes for a million.
	countable = 2000
	// looks is for how many of a larger one it is asked.
	looks = 16
)

// present reports whether the kernel has the set's elements: all, or of a large set some
// from its first to its last, which tells whether it was flushed. What the kernel fills by
// itself may hold anything.
func (s *guardSet) present(conn *nftables.Conn, table *nftables.Table) bool {
	if n := len(s.ranges) - 1; s.size() > countable {
		for i := range looks {
			if !holds(s.name, s.ranges[n*i/(looks-1)].From()) {
				return false
			}
		}
		return true
	}
	set, err := conn.GetSetByName(table, s.name)
	if err != nil || s.dynamic {
		return err == nil
	}
	elements, err := conn.GetSetElements(set)
	return err == nil && len(elements) >= s.size()
}

// holds asks for one element of one of the guard's sets.
func holds(set string, element netip.Addr) bool {
	attributes := netlink.NewAttributeEncoder()
	attributes.String(unix.NFTA_SET_ELEM_LIST_TABLE, guardTable)
	attributes.String(unix.NFTA_SET_ELEM_LIST_SET, set)
	attributes.Nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(list *netlink.AttributeEncoder) error {
		list.Nested(unix.NFTA_LIST_ELEM, func(e *netlink.AttributeEncoder) error {
			e.Nested(unix.NFTA_SET_ELEM_KEY, func(key *netlink.AttributeEncoder) error {
				key.Bytes(unix.NFTA_DATA_VALUE, element.AsSlice())
				return nil
			})
			return nil
		})
		return nil
	})
	data, err := attributes.Encode()
	if err != nil {
		return false
	}
	_, err = askNetfilter(unix.NFT_MSG_GETSETELEM, unix.NFPROTO_INET, data)
	return err == nil
}
