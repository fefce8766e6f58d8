// SPDX-License-Identifier: Apache-2.0

package population

// Kind is what a simulated subscriber really is.
type Kind string

// Kinds of subscribers.
const (
	Home       Kind = "home"       // a mail program with the settings of long ago
	Appliance  Kind = "appliance"  // a printer, disk or camera that reports by mail
	Office     Kind = "office"     // a small server that delivers to whom it writes
	Newsletter Kind = "newsletter" // a club or shop that writes to all its members at once

	Snowshoe Kind = "snowshoe" // a bot that sends slowly, to others all the time
	Burst    Kind = "burst"    // a bot that sends as fast as it can, for some hours
	Template Kind = "template" // a bot that sends to the five big providers only
	Scanner  Kind = "scanner"  // looks for mail servers, address by address

	Shared Kind = "shared" // many households behind one address, bots among them or not
	Mimic  Kind = "mimic"  // a bot that does what a mail program does

	Relay       Kind = "relay"       // sends by a relay, as it should
	Backscatter Kind = "backscatter" // somebody forges the address
	Triangular  Kind = "triangular"  // takes the replies to somebody who forges the address
)

// Truth is what would be a right finding.
type Truth uint8

// What is right to find.
const (
	IsMailer   Truth = iota
	IsInfected       // a program sends to whomever it can
	IsBoth           // some of both, so that neither word is right
	IsNeither        // no attempt to judge by
)

// Kinds returns all of them, in the order in which they are listed above.
func Kinds() []Kind {
	return []Kind{
		Home, Appliance, Office, Newsletter, Snowshoe, Burst, Template, Scanner, Shared, Mimic,
		Relay, Backscatter, Triangular,
	}
}

// Truth returns what a kind really is.
func (k Kind) Truth() Truth {
	switch k {
	case Home, Appliance, Office, Newsletter:
		return IsMailer
	case Snowshoe, Burst, Template, Scanner, Mimic:
		return IsInfected
	case Shared:
		return IsBoth
	default:
		return IsNeither
	}
}
