// SPDX-License-Identifier: Apache-2.0

// Package exempt reads and edits the files that say who may still send directly,
// for which reason, and until when.
//
//	exemptions:
//	  - prefix: 100.64.3.7          # an address or a prefix
//	    reason: mail server that moves to a static line
//	    ticket: CS-1234             # may be left out, as by and added
//	    by: tanaka
//	    added: 2026-11-24T10:00:00+09:00
//	    until: 2027-03-31 00:00 Asia/Tokyo
//
// In go paths; out comes what they say, or [Problems] with every mistake of every
// file. There is no clock here: [Active] and [Expiring] are told the time.
//
// [Add], [Remove] and [Expire] change a file that people edit as well. They do not
// write the document anew, which would lose how it was written. They find the place
// in the text by the parser's positions, change it there, and read the outcome
// again: it is kept only if it says exactly what was wanted. The file is replaced
// by renaming, so there is the old one or the new one whatever happens, and two
// edits wait for each other. An editor that is open meanwhile knows nothing of that.
//
// All functions can be called concurrently, from several processes too.
package exempt
