// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// leastToken is in characters: 32 of base 32 are 160 bits.
	leastToken = 32
	// mostTokens is the token file's size in octets.
	mostTokens = 64 << 10
)

// digest stands for a secret in memory.
type digest [sha256.Size]byte

// tokenFile is where the tokens are.
type tokenFile struct{ path string }

// read returns the digests of all tokens, one at least. The errors do not quote the file.
func (f *tokenFile) read() ([]digest, error) {
	if f.path == "" {
		return nil, errors.New("the console on an address needs a token file: name one, or listen on a socket, as in unix:/run/op25b/console.sock")
	}
	text, err := f.open()
	if err != nil {
		return nil, fmt.Errorf("read the console's tokens: %w", err)
	}
	var tokens []digest
	line := 0
	for token := range bytes.Lines(text) {
		line++
		token = bytes.TrimSpace(token)
		if len(token) == 0 || token[0] == '#' {
			continue
		}
		if len(token) < leastToken {
			return nil, fmt.Errorf("%s:%d: the token has %d characters, and needs %d: make one with: openssl rand -hex 32", f.path, line, len(token), leastToken)
		}
		tokens = append(tokens, sha256.Sum256(token))
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("%s: there is no token in it: make one with: openssl rand -hex 32", f.path)
	}
	return tokens, nil
}

// open returns the file's text, if nobody else may read or write it. It looks at what it
// has opened, not at what has the name by then.
func (f *tokenFile) open() ([]byte, error) {
	file, err := os.OpenFile(f.path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO must not keep us
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := private(f.path, info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, mostTokens+1))
	if err != nil {
		return nil, err
	}
	if len(text) > mostTokens {
		return nil, fmt.Errorf("%s has more than %d octets", f.path, mostTokens)
	}
	return text, nil
}

// private reports what is wrong with a file that holds secrets.
func private(path string, info os.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case info.Mode().Perm()&0o027 != 0:
		return fmt.Errorf("%s has mode %04o, so that others may read it, or its group may change it: chmod 0640 %[1]s", path, info.Mode().Perm())
	case ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to uid %d, who is neither root nor the gateway: chown root %[1]s", path, stat.Uid)
	}
	return nil
}

// find looks for a secret's digest. How long it takes tells nothing of the others.
func find(among []digest, wanted digest) bool {
	found := 0
	for i := range among {
		found |= subtle.ConstantTimeCompare(among[i][:], wanted[:])
	}
	return found == 1
}
