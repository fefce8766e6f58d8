// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"op25b/config"
	"op25b/filter"
)

// sourcePort is where the SYN that explain asks about comes from; no verdict
// depends on it.
const sourcePort = 49152

// explanation is the JSON document of explain.
type explanation struct {
	SchemaVersion int            `json:"schema_version"`
	Source        netip.Addr     `json:"source"`
	Destination   netip.AddrPort `json:"destination"`
	Action        string         `json:"action"`
	Reason        string         `json:"reason"`
	Pool          string         `json:"pool,omitempty"`
	PoolPrefix    string         `json:"pool_prefix,omitempty"`
	Assignment    string         `json:"assignment,omitempty"`
	Relay         string         `json:"relay,omitempty"`
	RelayPrefix   string         `json:"relay_prefix,omitempty"`
	// Text says it in a paragraph, for support.
	Text string `json:"text"`
	// Customer is what to tell the customer; empty when nothing is refused.
	Customer string `json:"customer,omitempty"`
}

func newExplain() *cobra.Command {
	var (
		path   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "explain SRC DST[:PORT]",
		Short: "What would happen to a connection, by which rule, and what to tell the customer",
		Long: `Say what happens when the subscriber SRC opens a connection to DST, port 25 unless
given. The answer comes from the code that judges packets.`,
		Example: "  op25b explain 100.64.0.2 203.0.113.25\n  op25b explain 2001:db8:a:1::2 [2001:db8::25]:587",
		Args:    usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, dst, err := endpoints(args[0], args[1])
			if err != nil {
				return &usageError{err}
			}
			cfg, err := loadConfig(path)
			if err != nil {
				return err
			}
			e, err := explain(cfg, src, dst)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), e)
			}
			return e.write(cmd.OutOrStdout())
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// endpoints reads SRC and DST[:PORT].
func endpoints(srcText, dstText string) (src netip.Addr, dst netip.AddrPort, err error) {
	src, err = netip.ParseAddr(srcText)
	if err != nil {
		return src, dst, fmt.Errorf("SRC %q is no IP address", srcText)
	}
	dst, err = netip.ParseAddrPort(dstText)
	if err != nil {
		const smtp = 25
		addr, err := netip.ParseAddr(strings.Trim(dstText, "[]"))
		if err != nil {
			return src, dst, fmt.Errorf("DST %q is no IP address, with or without :PORT ([...]:PORT for IPv6)", dstText)
		}
		dst = netip.AddrPortFrom(addr, smtp)
	}
	src = src.Unmap().WithZone("")
	dst = netip.AddrPortFrom(dst.Addr().Unmap().WithZone(""), dst.Port())
	if src.Is4() != dst.Addr().Is4() {
		return src, dst, fmt.Errorf("SRC %s and DST %s are of different families", src, dst.Addr())
	}
	return src, dst, nil
}

func explain(cfg *config.Config, src netip.Addr, dst netip.AddrPort) (*explanation, error) {
	policy, err := compile(cfg)
	if err != nil {
		return nil, err
	}
	x := policy.Explain(filter.Outbound, filter.Probe(netip.AddrPortFrom(src, sourcePort), dst), filter.ChecksumUnknown)
	e := &explanation{
		SchemaVersion: schemaVersion, Source: src, Destination: dst,
		Action: x.Action.String(), Reason: x.Reason.String(),
		Pool: x.Pool, Relay: x.Relay, Text: sentence(x, src, dst),
	}
	if x.Pool != "" {
		e.PoolPrefix, e.Assignment = x.PoolPrefix.String(), assignment(x.Static)
	}
	if x.Relay != "" {
		e.RelayPrefix = x.RelayPrefix.String()
	}
	if x.Reason == filter.ReasonBlockedPort {
		e.Customer = customerText(dst.Port())
	}
	return e, nil
}

func assignment(static bool) string {
	if static {
		return "static"
	}
	return "dynamic"
}

// sentence says what happens and why.
func sentence(x filter.Explanation, src netip.Addr, dst netip.AddrPort) string {
	pool := fmt.Sprintf("%s is in the %s pool %q (%s)", src, assignment(x.Static), x.Pool, x.PoolPrefix)
	port := strconv.Itoa(int(dst.Port()))
	switch x.Reason {
	case filter.ReasonBlockedPort:
		return fmt.Sprintf("The connection is refused. %s, policy.ports holds %s, and %s is no relay. %s",
			pool, port, dst.Addr(), answerText(x.Action))
	case filter.ReasonOtherPort:
		return fmt.Sprintf("The connection goes through. %s, but policy.ports does not hold %s.", pool, port)
	case filter.ReasonRelay:
		return fmt.Sprintf("The connection goes through. %s, and %s is the relay %q (%s), which stays reachable.",
			pool, dst.Addr(), x.Relay, x.RelayPrefix)
	case filter.ReasonStatic:
		return fmt.Sprintf("The connection goes through. %s, and static pools are exempt.", pool)
	case filter.ReasonSpoofedSource:
		return fmt.Sprintf("Every packet from %s is dropped without an answer: it is in no pool, and "+
			"forwarding.source_validation is strict. If it is a subscriber's, add its prefix to policy.pools.", src)
	case filter.ReasonUnlisted:
		return fmt.Sprintf("The connection goes through. %s is in no pool, and forwarding.source_validation is off.", src)
	case filter.ReasonRouter:
		return fmt.Sprintf("The packet is for the gateway itself: %s is in tunnel.addresses. No such port is open there.", dst.Addr())
	default:
		return fmt.Sprintf("The packet is dropped without an answer (%s): no router forwards from %s to %s.",
			x.Reason, src, dst.Addr())
	}
}

func answerText(a filter.Action) string {
	switch a {
	case filter.Reset:
		return `The client gets a TCP reset and sees "connection refused" at once.`
	case filter.Prohibited:
		return "The client gets ICMP \"administratively prohibited\" and gives up at once."
	default:
		return "The client gets no answer and sees a timeout."
	}
}

func customerText(port uint16) string {
	return fmt.Sprintf("From a line with a changing address, mail cannot be handed directly to other providers' servers "+
		"on port %d; this keeps infected computers from sending spam. Your mail program can send all the same: in its "+
		"settings for outgoing mail (SMTP), set the port to 587 with STARTTLS, or to 465 with SSL/TLS, and switch "+
		"authentication on with your mailbox's user name and password (SMTP AUTH). If you run a mail server of your own, "+
		"ask us for a static address.", port)
}

func (e *explanation) write(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s -> %s: %s (%s)\n\n%s\n", e.Source, e.Destination, e.Action, e.Reason, wrap(e.Text))
	if err == nil && e.Customer != "" {
		_, err = fmt.Fprintf(w, "\nTell the customer:\n%s\n", wrap(e.Customer))
	}
	return err
}

// wrap breaks text into lines of at most 80 characters, at blanks.
func wrap(text string) string {
	const width = 80
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}
