// SPDX-License-Identifier: Apache-2.0

package census

import "testing"

// FuzzBook plays packets to a book with room and to one without, and compares both with
// a model. The corpus is in testdata.
func FuzzBook(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 5, 3, 0, 0, 6, 77}, false)
	f.Fuzz(func(t *testing.T, script []byte, set bool) {
		const most = 4 * 2000 // more says nothing new, and the model is slow
		compare(t, script[:min(len(script), most)], set)
	})
}
