// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"
)

// largestDocument is in octets. A configuration of a million prefixes has some 20
// million.
const largestDocument = 64 << 20

// Generation is a policy that was in force from some time on.
type Generation struct {
	// ID is given by the journal, in the order of writing.
	ID int64
	// Time is from when it was in force; zero: now.
	Time time.Time
	// Number is the gateway's own, and begins anew with each start.
	Number int
	// Document is what compiles to that policy; the journal does not look into
	// it, and keeps each once, however many generations have it.
	Document []byte
	Digest   string
	Summary  string
}

// addGeneration writes one. It is never changed.
func (s *store) addGeneration(ctx context.Context, g *Generation) error {
	sum := sha256.Sum256(g.Document)
	var document int64
	err := s.conn.QueryRowContext(ctx, "SELECT id FROM documents WHERE sha256 = ?", sum[:]).Scan(&document)
	if errors.Is(err, sql.ErrNoRows) {
		document, err = s.addDocument(ctx, sum[:], g.Document)
	}
	if err != nil {
		return err
	}
	_, err = s.conn.ExecContext(ctx, "INSERT INTO generations (began, number, digest, summary, document) VALUES (?, ?, ?, ?, ?)",
		g.Time.UnixMilli(), g.Number, g.Digest, g.Summary, document)
	return err
}

func (s *store) addDocument(ctx context.Context, sum, document []byte) (id int64, err error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(document)
	if err = errors.Join(err, w.Close()); err != nil {
		return 0, err
	}
	result, err := s.conn.ExecContext(ctx, "INSERT INTO documents (sha256, gzip) VALUES (?, ?)", sum, packed.Bytes())
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// GenerationAt returns the generation that was in force at a time, if it is
// known.
func (r *Reader) GenerationAt(ctx context.Context, t time.Time) (Generation, bool, error) {
	var (
		g      Generation
		began  int64
		packed []byte
	)
	err := r.generated.QueryRowContext(ctx, t.UnixMilli()).Scan(&g.ID, &began, &g.Number, &g.Digest, &g.Summary, &packed)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Generation{}, false, nil
	case err != nil:
		return Generation{}, false, err
	}
	g.Time = moment(began)
	if g.Document, err = unpack(packed); err != nil {
		return Generation{}, false, fmt.Errorf("generation %d: its document: %w", g.ID, err)
	}
	return g, true, nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, largestDocument))
}
