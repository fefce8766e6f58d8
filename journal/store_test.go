// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// filled is a journal of some size, closed.
func filled(t *testing.T) Options {
	t.Helper()
	opts := options(t)
	j := open(t, opts)
	for i := range 2000 {
		j.Hold(Holding{Prefix: numbered(i), Holder: fmt.Sprint("holder", i), Source: "dhcp", From: at(1)})
	}
	flush(t, j)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return opts
}

// execute runs a statement on any database.
func execute(path, statement string) error {
	db, err := sql.Open("sqlite", location(path, ""))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(context.Background(), statement)
	return err
}

// overwrite puts octets into a file.
func overwrite(path string, at int64, octets []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(octets, at)
	return err
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// TestOpenRefused has what Open does not touch.
func TestOpenRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in   string // beside DIR/journal.db, where that is not the one
		make func(path string) error
		want string
		is   error
	}{
		"no directory": {
			in:   "no/journal.db",
			want: "journal DIR/no/journal.db: no such file or directory: mkdir -p DIR/no", is: os.ErrNotExist,
		},
		"a directory": {
			in:   ".",
			want: "journal DIR: is a directory: set journal.path to a file in it",
		},
		"a text": {
			make: func(path string) error { return write(path, "root:x:0:0\n") },
			want: "journal DIR/journal.db: no journal of op25b: set journal.path to another file, or: mv DIR/journal.db DIR/journal.db.old", is: ErrForeign,
		},
		"a long text": {
			make: func(path string) error { return write(path, strings.Repeat("root:x:0:0\n", 1000)) },
			want: "journal DIR/journal.db: no journal of op25b: set journal.path to another file, or: mv DIR/journal.db DIR/journal.db.old", is: ErrForeign,
		},
		"another program's database": {
			make: func(path string) error { return execute(path, "CREATE TABLE t (a)") },
			want: "journal DIR/journal.db: no journal of op25b, but another program's database: set journal.path to another file, or: mv DIR/journal.db DIR/journal.db.old", is: ErrForeign,
		},
		"a newer schema": {
			make: func(path string) error {
				return execute(path, fmt.Sprintf("CREATE TABLE t (a); PRAGMA application_id=%d; PRAGMA user_version=99", applicationID))
			},
			want: "journal DIR/journal.db: written by a newer op25b: its schema is 99, and this one knows 3: set journal.path to another file, or: mv DIR/journal.db DIR/journal.db.old", is: ErrNewer,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := options(t)
			dir := filepath.Dir(opts.Path)
			if test.in != "" {
				opts.Path = filepath.Join(dir, test.in)
			}
			if test.make != nil {
				if err := test.make(opts.Path); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := os.ReadFile(opts.Path)
			_, err := Open(opts)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("not %v", test.is)
			}
			if after, _ := os.ReadFile(opts.Path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
			if _, err := OpenReader(opts.Path); err == nil || test.is != nil && !errors.Is(err, test.is) {
				t.Error("reader:", err)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*Options){
		func(o *Options) { o.Path = "" },
		func(o *Options) { o.Retention = -1 },
		func(o *Options) { o.SeenEvery = -1 },
		func(o *Options) { o.Queue = -1 },
		func(o *Options) { o.Records = -1 },
	} {
		opts := options(t)
		change(&opts)
		if _, err := Open(opts); err == nil {
			t.Errorf("%+v", opts)
		}
		if _, err := Start(opts); err == nil {
			t.Errorf("%+v", opts)
		}
	}
}

// TestDamaged damages files in ways that disks and crashes do.
func TestDamaged(t *testing.T) {
	t.Parallel()
	noise := bytes.Repeat([]byte{0x55, 0xaa, 0x13}, 3000)
	for name, damage := range map[string]func(path string) error{
		"the beginning is noise": func(path string) error { return overwrite(path, 0, noise[:60]) },
		"the beginning is zeros": func(path string) error { return overwrite(path, 0, make([]byte, 4096)) },
		"the first page is noise": func(path string) error {
			return overwrite(path, 100, noise[:3000])
		},
		"half of it is missing": func(path string) error { return os.Truncate(path, size(path)/2/4096*4096) },
		"20 octets are left":    func(path string) error { return os.Truncate(path, 20) },
		"zeros everywhere": func(path string) error {
			return overwrite(path, 0, make([]byte, size(path)))
		},
		"all but the beginning is noise": func(path string) error {
			return overwrite(path, 4096, bytes.Repeat(noise, int(size(path)-4096)/len(noise)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := filled(t)
			core, logs := observer.New(zapcore.InfoLevel)
			opts.Log = zap.New(core)
			if err := damage(opts.Path); err != nil {
				t.Fatal(err)
			}
			j := open(t, opts)
			// Some are found out only where they hurt.
			for i := range 2000 {
				j.Hold(Holding{Prefix: numbered(i), Holder: fmt.Sprint("other", i), Source: "dhcp", From: at(2)})
			}
			flush(t, j)
			if got := ask(t, j, "10.0.0.1", 3); !strings.Contains(got, "other1 ") {
				t.Error(got)
			}
			if h := j.Health(); h.Err != nil || h.Lost != 0 {
				t.Errorf("%+v", h)
			}
			aside, _ := filepath.Glob(opts.Path + ".damaged-*Z")
			if len(aside) != 1 || logs.FilterMessageSnippet("damaged and was set aside").Len() != 1 {
				t.Error(aside, logs.All())
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
			check(t, opts.Path)
		})
	}
}

// TestDamagedAgain has a disk that damages one file after the other.
func TestDamagedAgain(t *testing.T) {
	t.Parallel()
	opts := options(t)
	now := &clock{now: noon}
	opts.Now = now.Now
	for range mostSetAside {
		now.set(now.Now().Add(time.Second))
		if err := write(opts.Path, "SQLite format 3"); err != nil {
			t.Fatal(err)
		}
		if err := open(t, opts).Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(opts.Path, "SQLite format 3"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(opts); err == nil || !strings.Contains(err.Error(), "rm "+opts.Path+".damaged-*") {
		t.Error(err)
	}
}

// TestStart begins without a directory, and goes on once there is one.
func TestStart(t *testing.T) {
	t.Parallel()
	opts := options(t)
	dir := filepath.Join(filepath.Dir(opts.Path), "later")
	opts.Path = filepath.Join(dir, "journal.db")
	j, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	j.Hold(hold("192.0.2.1/32", "a", "dhcp", 1))
	j.Mark(at(1))
	if h := j.Health(); !errors.Is(h.Err, os.ErrNotExist) || h.Waiting != 1 || h.Since.IsZero() {
		t.Errorf("%+v", h)
	}
	if err := j.Flush(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := j.HolderAt(t.Context(), numbered(1).Addr(), noon); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	flush(t, j)
	if got := ask(t, j, "192.0.2.1", 1); got == "" {
		t.Error("lost")
	}
	if h := j.Health(); h.Err != nil || h.Waiting != 0 || h.Lost != 0 || !h.Since.IsZero() {
		t.Errorf("%+v", h)
	}
	if info, err := os.Stat(opts.Path); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Error(info.Mode(), err)
	}
}

// TestRemoved has somebody delete the file under a gateway.
func TestRemoved(t *testing.T) {
	t.Parallel()
	opts := options(t)
	j := open(t, opts)
	j.Hold(hold("192.0.2.1/32", "a", "dhcp", 1))
	flush(t, j)
	if err := os.Remove(opts.Path); err != nil {
		t.Fatal(err)
	}
	do(t, j, func(w *writer) error { w.look = time.Time{}; return nil }) // at once, not in 5 s
	j.Hold(hold("192.0.2.2/32", "b", "dhcp", 1))
	flush(t, j)
	if one, two := ask(t, j, "192.0.2.1", 1), ask(t, j, "192.0.2.2", 1); one != "" || two == "" {
		t.Error(one, two)
	}
	check(t, opts.Path)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", location(options(t).Path, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	steps := []string{"CREATE TABLE a (b)", "INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (2); INSERT INTO nowhere VALUES (3)"}
	for n, want := range []int{0, 1, 2} {
		if err := migrate(t.Context(), conn, steps[:n]); err != nil {
			t.Fatal(err)
		}
		if got := userVersion(t, conn); got != want {
			t.Error(got, want)
		}
	}
	if err := migrate(t.Context(), conn, steps); err == nil || !strings.Contains(err.Error(), "migrate to schema 3") || userVersion(t, conn) != 2 {
		t.Error(err, userVersion(t, conn))
	}
	var rows int
	if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM a").Scan(&rows); err != nil || rows != 1 {
		t.Error("half a migration", rows, err)
	}
	// One that is newer stays as it is.
	if err := migrate(t.Context(), conn, steps[:1]); err != nil || userVersion(t, conn) != 2 {
		t.Error(err)
	}
}

func userVersion(t *testing.T, conn *sql.Conn) (n int) {
	t.Helper()
	if err := conn.QueryRowContext(context.Background(), "PRAGMA user_version").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
