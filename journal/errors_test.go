// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

func TestAdvise(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{bare(&os.PathError{Err: syscall.EACCES}), fmt.Sprintf("journal /d/j: permission denied: chown %d:%d /d /d/j*", os.Getuid(), os.Getgid())},
		{syscall.EROFS, "journal /d/j: read-only file system: set journal.path to a file system that can be written"},
		{syscall.ENOSPC, "journal /d/j: the disk is full: make room: df -h /d (no space left on device)"},
		{errDamaged, "journal /d/j: damaged: mv /d/j /d/j.old"},
		{errors.New("odd"), "journal /d/j: odd"},
	} {
		got := advise("/d/j", test.err)
		if got.Error() != test.want || !errors.Is(got, test.err) {
			t.Errorf("\n got %s\nwant %s", got, test.want)
		}
	}
	if got := adviseReader("/d/j", syscall.EACCES).Error(); got != "journal /d/j: permission denied: become root or a member of its group: ls -l /d/j*" {
		t.Error(got)
	}
}
