// SPDX-License-Identifier: Apache-2.0

package door

import (
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// identity is who connects.
type identity struct {
	uid, gid int
	groups   []uint32
}

// connect returns one end of a pair of sockets that somebody else has made, or, without
// an identity, we. The kernel keeps credentials by thread: one that has become somebody
// else ends with its goroutine.
func connect(t *testing.T, as *identity) *net.UnixConn {
	t.Helper()
	var pair [2]int
	var err error
	made := make(chan struct{})
	go func() {
		defer close(made)
		if as != nil {
			runtime.LockOSThread()
			if err = as.become(); err != nil {
				return
			}
		}
		pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}()
	if <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]) })
	file := os.NewFile(uintptr(pair[1]), "pair")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UnixConn)
}

// become changes this thread alone; package syscall's functions change all.
func (id *identity) become() error {
	uid, gid := uintptr(id.uid), uintptr(id.gid)
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(id.groups)), uintptr(unsafe.Pointer(unsafe.SliceData(id.groups))), 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return errno
	}
	return nil
}

func TestPeerOf(t *testing.T) {
	t.Parallel()
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	want := Peer{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid(), Groups: []uint32{}}
	for _, gid := range groups {
		want.Groups = append(want.Groups, uint32(gid))
	}
	got, err := PeerOf(connect(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("we are (-want +got):\n%s", diff)
	}
}

func TestPeerOfAnother(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("NEEDS ROOT: it connects as another user")
	}
	many := make([]uint32, 1000) // more than the first guess has room for
	for i := range many {
		many[i] = uint32(5000 + i)
	}
	for _, id := range []identity{
		{65534, 65533, []uint32{}},
		{65534, 65533, []uint32{4, 27}},
		{65534, 65533, many[:64]},
		{65534, 65533, many[:65]},
		{65534, 65533, many},
	} {
		got, err := PeerOf(connect(t, &id))
		if err != nil {
			t.Fatal(err)
		}
		want := Peer{PID: os.Getpid(), UID: id.uid, GID: id.gid, Groups: id.groups}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with %d groups (-want +got):\n%s", len(id.groups), diff)
		}
	}
}

func TestPeerOfClosed(t *testing.T) {
	t.Parallel()
	conn := connect(t, nil)
	conn.Close()
	if p, err := PeerOf(conn); !errors.Is(err, net.ErrClosed) || p.PID != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestIn(t *testing.T) {
	t.Parallel()
	p := &Peer{UID: 1000, GID: 100, Groups: []uint32{4, 27}}
	var in []int
	for gid := range 1001 {
		if p.in(gid) {
			in = append(in, gid)
		}
	}
	if want := []int{4, 27, 100}; !slices.Equal(in, want) {
		t.Errorf("in %v, want %v", in, want)
	}
}
