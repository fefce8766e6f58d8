// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// checksumsValid verifies what an answer would vouch for: the IPv4 header and,
// unless it is trusted, the TCP segment (RFC 9293, section 3.1). Only segments
// that are about to be refused are added up.
func (p *packet) checksumsValid(sum Checksum) bool {
	if p.version == header.IPv4Version && !header.IPv4(p.b).IsChecksumValid() {
		return false
	}
	if sum == ChecksumTrusted {
		return true
	}
	segment := p.b[p.l4:]
	var pseudo [8]byte
	binary.BigEndian.PutUint32(pseudo[0:], uint32(len(segment)))
	pseudo[7] = protoTCP
	x := checksum.Checksum(pseudo[:], 0)
	x = checksum.Checksum(p.addresses(), x)
	return checksum.Checksum(segment, x) == 0xffff
}

// addresses returns source and destination as they lie in the header.
func (p *packet) addresses() []byte {
	if p.version == header.IPv4Version {
		return p.b[12:20]
	}
	return p.b[8:40]
}
