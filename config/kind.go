// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// isNumber tells the types that the file writes as a bare number: a share has a %.
func isNumber(t reflect.Type) bool {
	return t.Kind() == reflect.Int || t.Kind() == reflect.Uint16 && t != reflect.TypeFor[Share]()
}

// isAuto tells the numbers that may be "auto" instead.
func isAuto(t reflect.Type) bool {
	return t == reflect.TypeFor[MTU]() || t == reflect.TypeFor[Queues]()
}

func isClosed(t reflect.Type) bool { return t.Implements(reflect.TypeFor[closed]()) }

// isDecimal tells a number as people write it from those that only YAML takes
// for one: 025 is 21 to it, and 0x19, 1_000 and 1e3 are numbers too.
func isDecimal(n *yaml.Node) bool {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return false
	}
	digits := strings.TrimPrefix(n.Value, "-")
	if digits == "" || digits[0] == '0' && len(digits) > 1 {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}

// example returns what a value of the type looks like, to be used after "write".
func example(t reflect.Type) string {
	switch {
	case isClosed(t):
		return oneOf(reflect.Zero(t).Interface().(closed).allowed())
	case t == reflect.TypeFor[MTU]():
		return "auto, or a number of bytes such as 1500"
	case t == reflect.TypeFor[Queues]():
		return "auto, or a number such as 4"
	case t == reflect.TypeFor[Delegation]():
		return "a length such as 56"
	case t == reflect.TypeFor[Share]():
		return "a share such as 10%"
	case t == reflect.TypeFor[Duration]():
		return "a number of days such as 90d"
	case t == reflect.TypeFor[Time]():
		return "a time such as " + timeExample
	case t == reflect.TypeFor[netip.AddrPort]():
		return "an address and a port such as 192.0.2.1:1813"
	case t == reflect.TypeFor[Client]():
		return "an address or a prefix such as 192.0.2.0/24"
	case t == reflect.TypeFor[uint16]():
		return "a port such as 25"
	case t == reflect.TypeFor[netip.Prefix]():
		return "a prefix such as 192.0.2.0/24"
	case t == reflect.TypeFor[netip.Addr]():
		return "an address such as 192.0.2.1"
	case isNumber(t):
		return "a number such as 25"
	}
	return "one"
}

// oneOf lists words as a sentence does.
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
