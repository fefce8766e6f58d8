// SPDX-License-Identifier: Apache-2.0

package journal

import "time"

// Health is how a journal is.
type Health struct {
	// Err is why nothing can be written now, and what to type; nil if all is well.
	Err error
	// Since is when that began.
	Since time.Time
	// Lost counts what will never be written: it came while the queue was full, or
	// could not be kept at all, or was still waiting at the end.
	Lost uint64
	// Waiting is how much is not yet written.
	Waiting int
	// Size is the file's and its log's, in octets.
	Size int64
	// Records is how many records of subscribers' hours the file has, and OldestRecord
	// the first of those hours, zero if there is none: as of a moment ago.
	Records      int64
	OldestRecord time.Time
}

// Health tells how the journal is. It does not wait for the writer.
func (j *Journal) Health() Health {
	waiting, lost := j.queue.state()
	j.mu.Lock()
	defer j.mu.Unlock()
	return Health{
		Err: j.err, Since: j.since, Lost: lost, Waiting: waiting, Size: size(j.opts.Path),
		Records: j.records, OldestRecord: j.oldest,
	}
}

// report takes down how the last attempt to write went. It logs the beginning and
// the end of a problem.
func (j *Journal) report(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case err == nil && j.err != nil:
		j.log.Info("the journal is written again")
	case err != nil && j.err == nil:
		j.since = j.now()
		j.log.Warn(err.Error())
	}
	if err == nil {
		j.since = time.Time{}
	}
	j.err = err
}
