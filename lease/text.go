// SPDX-License-Identifier: Apache-2.0

package lease

// texts keeps many short texts without a pointer for each. What is dropped stays
// until everything that is still needed has moved to new ones.
type texts struct {
	chunks  [][]byte
	kept    int // bytes that somebody needs
	dropped int
}

const (
	textBits  = 16
	textChunk = 1 << textBits // bytes
)

// add keeps two texts side by side and returns where they are. A text has at most
// longestName bytes.
func (t *texts) add(a, b string) uint32 {
	n := len(a) + len(b)
	if n == 0 {
		return 0
	}
	last := len(t.chunks) - 1
	if last < 0 || len(t.chunks[last])+n > textChunk {
		var fresh []byte // a table of few leases stays small
		if last >= 0 {
			fresh = make([]byte, 0, textChunk)
		}
		t.chunks = append(t.chunks, fresh)
		last++
	}
	at := len(t.chunks[last])
	t.chunks[last] = append(append(t.chunks[last], a...), b...)
	t.kept += n
	return uint32(last<<textBits + at)
}

// get returns n bytes. They must not be changed.
func (t *texts) get(at uint32, n int) []byte {
	if n == 0 {
		return nil
	}
	from := int(at & (textChunk - 1))
	return t.chunks[at>>textBits][from : from+n]
}

func (t *texts) drop(n int) {
	t.kept -= n
	t.dropped += n
}

// wasteful reports whether it is worth the time to move everything.
func (t *texts) wasteful() bool { return t.dropped > textChunk && t.dropped > t.kept }
