// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"go.yaml.in/yaml/v3"

	"op25b/config/input"
)

// decodeHook turns text into the types of Config. Text reaches it from the file
// and from the environment alike; defaults are typed already and pass through.
func decodeHook() mapstructure.DecodeHookFunc {
	return mapstructure.ComposeDecodeHookFunc(
		fromText(parsePrefix),
		fromText(parseAddr),
		fromText(parsePort),
		fromText(parseNumber),
		fromText(parseAuto[MTU]),
		fromText(parseAuto[Queues]),
		fromText(parseDelegation),
		fromText(parseShare),
		fromText(parseDuration),
		fromText(parseTime),
		fromText(parseClient),
		fromText(parseAddrPort),
		closedFromText,
	)
}

// fromText is the hook for one target type.
func fromText[T any](parse func(string) (T, error)) mapstructure.DecodeHookFuncType {
	return func(from, to reflect.Type, data any) (any, error) {
		text, ok := data.(string)
		if !ok || to != reflect.TypeFor[T]() {
			return data, nil
		}
		return parse(text)
	}
}

// closedFromText is the hook for all types with a fixed set of values.
func closedFromText(_, to reflect.Type, data any) (any, error) {
	text, ok := data.(string)
	if !ok || !isClosed(to) {
		return data, nil
	}
	allowed := reflect.Zero(to).Interface().(closed).allowed()
	if slices.Contains(allowed, text) {
		return reflect.ValueOf(text).Convert(to).Interface(), nil
	}
	m := &mistake{what: "unknown value " + input.Quote(text), fix: "write " + oneOf(allowed)}
	if near := nearest(text, allowed); near != "" {
		m.fix = "did you mean " + near + "? Write " + oneOf(allowed)
	}
	return nil, m
}

func parseNumber(text string) (int, error) {
	if !isDecimal(&yaml.Node{Value: text}) {
		return 0, &mistake{show(text) + " is not a whole decimal number", "write " + example(reflect.TypeFor[int]())}
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, &mistake{show(text) + " is too large for a number", "write " + example(reflect.TypeFor[int]())}
	}
	return n, nil
}

// parsePort leaves zero to validation, which sees what was written either way.
func parsePort(text string) (uint16, error) {
	n, err := parseNumber(text)
	if err != nil || n < 0 || n > 65535 {
		return 0, &mistake{show(text) + " is not a port", "write a port from 1 to 65535"}
	}
	return uint16(n), nil
}

// parseAuto keeps a written zero from meaning auto: only the word does.
func parseAuto[T MTU | Queues](text string) (T, error) {
	if text == auto {
		return 0, nil
	}
	n, err := parseNumber(text)
	if err != nil || n == 0 {
		return 0, &mistake{show(text) + " is neither auto nor a number that fits", "write " + example(reflect.TypeFor[T]())}
	}
	return T(n), nil
}

// parseDelegation keeps a written zero from meaning the default.
func parseDelegation(text string) (Delegation, error) {
	n, err := parseNumber(text)
	if err != nil || n < 48 || n > 64 {
		return 0, &mistake{show(text) + " is not the length of a prefix that one subscriber gets", "write a number from 48 to 64"}
	}
	return Delegation(n), nil
}

func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err == nil {
		return addr, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return netip.Addr{}, &mistake{text + " is a prefix where an address belongs", "write " + p.Addr().String()}
	}
	return netip.Addr{}, &mistake{input.Quote(text) + " is not an IP address", "write an address such as 192.0.2.1 or \"2001:db8::1\""}
}

func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err == nil {
		return p, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		whole := netip.PrefixFrom(addr, addr.BitLen())
		return netip.Prefix{}, &mistake{text + " has no prefix length", "write " + whole.String() + " for this one address"}
	}
	if p, ok := parseNetmask(text); ok {
		return netip.Prefix{}, &mistake{text + " has a netmask for a prefix length", "write " + p.String()}
	}
	return netip.Prefix{}, &mistake{input.Quote(text) + " is not an IP prefix", "write an address and a length, such as 192.0.2.0/24 or \"2001:db8::/32\""}
}

// parseNetmask understands 10.0.0.0/255.0.0.0, to answer it with 10.0.0.0/8.
func parseNetmask(text string) (netip.Prefix, bool) {
	address, netmask, _ := strings.Cut(text, "/")
	addr, err := netip.ParseAddr(address)
	if err != nil || !addr.Is4() {
		return netip.Prefix{}, false
	}
	mask, err := netip.ParseAddr(netmask)
	if err != nil || !mask.Is4() {
		return netip.Prefix{}, false
	}
	ones, bits := net.IPMask(mask.AsSlice()).Size()
	if bits == 0 {
		return netip.Prefix{}, false // not contiguous
	}
	return netip.PrefixFrom(addr, ones).Masked(), true
}
