// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	_ "modernc.org/sqlite" // the driver
)

// mostSetAside is how many damaged files are kept beside the one in use. A disk
// that damages one after the other needs a person, not a fourth file.
const mostSetAside = 3

// store is an open file. It belongs to the writer, but for its reader.
type store struct {
	path    string
	file    os.FileInfo
	db      *sql.DB
	conn    *sql.Conn
	shelves map[shelf]int64
	pools   map[string]int64
	reader  *Reader
	stmts   statements
}

// settings are for the connection that writes: it waits up to 5 s for another
// process, a successor or predecessor of ours; a bigger write-ahead log than usual
// spares writing pages twice, and is given back once it is more than 64 MB.
const settings = "_busy_timeout=5000&_synchronous=NORMAL&_dqs=0&_defensive=1&_error_rc=1" +
	"&_pragma=wal_autocheckpoint(4000)&_pragma=journal_size_limit(67108864)&_pragma=cache_size(-16000)&_pragma=temp_store(2)"

// location is path as SQLite's URI.
func location(path, parameters string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + parameters
}

// openStore opens a file, or begins one.
func openStore(ctx context.Context, path string) (_ *store, err error) {
	if err := recognize(path); err != nil {
		return nil, err
	}
	s := &store{path: path}
	if s.db, err = sql.Open("sqlite", location(path, settings)); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if s.file, err = os.Stat(path); err != nil {
		return nil, err
	}
	s.reader, err = openReader(ctx, path, "mode=ro")
	return s, err
}

// recognize makes sure that there is a file that we may write, before SQLite
// touches it: its errors say less, and it would write into other programs'
// databases.
func recognize(path string) error {
	// What SQLite makes beside it gets the same rights. Holders are personal data.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return bare(err)
	}
	defer f.Close()
	head := make([]byte, 100)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return bare(err)
	}
	return recognizeHead(head[:n])
}

// bare drops the file's name: who reports the error says it.
func bare(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// recognizeHead tells our files, whole or damaged, from those of others. A crash
// of a machine can leave zeros. See SQLite's file format, section 1.3.
func recognizeHead(head []byte) error {
	const magic, idAt = "SQLite format 3\x00", 68
	switch {
	case len(head) == 0:
		return nil
	case len(bytes.Trim(head, "\x00")) == 0:
		return fmt.Errorf("%w: there are only zeros", errDamaged)
	case len(head) < idAt+4:
		if strings.HasPrefix(magic, string(head[:min(len(head), len(magic))])) {
			return fmt.Errorf("%w: only %d octets are left", errDamaged, len(head))
		}
		return ErrForeign
	}
	id := binary.BigEndian.Uint32(head[idAt:])
	switch {
	case string(head[:len(magic)]) == magic && (id == 0 || id == applicationID):
		return nil // whether an ID of 0 is ours is seen later
	case id == applicationID:
		return fmt.Errorf("%w: its beginning is overwritten", errDamaged)
	}
	return ErrForeign
}

func (s *store) prepare(ctx context.Context) error {
	if _, err := version(ctx, s.conn); err != nil {
		return err
	}
	var mode string
	if err := s.conn.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("this file system cannot have a write-ahead log (%s)", mode)
	}
	if err := migrate(ctx, s.conn, migrations); err != nil {
		return err
	}
	// A file that was just begun is recognized by its head from now on, not only
	// by its log. This also finds out whether it can be written.
	if _, err := s.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
		return err
	}
	if err := s.loadShelves(ctx); err != nil {
		return err
	}
	if err := s.loadPools(ctx); err != nil {
		return err
	}
	return s.stmts.prepare(ctx, s.conn)
}

// replaced reports whether the file that we write is no longer the one at its
// path.
func (s *store) replaced() bool {
	now, err := os.Stat(s.path)
	return errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(s.file, now)
}

func (s *store) close() {
	if s.reader != nil {
		_ = s.reader.Close()
	}
	s.stmts.close()
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.db.Close()
}

// size is the file's and its log's, in octets.
func size(path string) (n int64) {
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			n += info.Size()
		}
	}
	return n
}

// setAside renames a damaged file, and what SQLite has beside it, so that a new
// one can be begun and somebody can look at the old one.
func setAside(path string, now time.Time, log *zap.Logger, reason error) error {
	before, err := filepath.Glob(escapeGlob(path) + ".damaged-*Z")
	if err != nil {
		return err
	}
	if len(before) >= mostSetAside {
		return fmt.Errorf("%w, and %d damaged ones were set aside already: is the disk failing? Look at dmesg, then: rm %s.damaged-*",
			reason, len(before), path)
	}
	aside := path + ".damaged-" + now.UTC().Format("20060102T150405.000Z")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("set a damaged file aside: %w", err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("set a damaged file aside: %w", err)
		}
	}
	log.Warn("the journal is damaged and was set aside; a new one begins, and history with it",
		zap.String("journal", path), zap.String("set_aside", aside), zap.Error(reason))
	return nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
