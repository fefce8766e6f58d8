// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text        string
		descriptors int
		want        message
		err         string
	}{
		{text: "READY=1", want: message{ready: true}},
		{text: "READY=1\nSTATUS=all is well\n", want: message{ready: true}},
		{text: "READY=0\nSTOPPING=\nRELOADING", want: message{}},
		{text: "RELOADING=1\nMONOTONIC_USEC=17", want: message{reloading: true}},
		{text: "STOPPING=1", want: message{stopping: true}},
		{text: "WATCHDOG=1", want: message{alive: true}},
		{text: "WATCHDOG=trigger", want: message{hung: true}},
		{text: "MAINPID=4711\nREADY=1", want: message{mainPID: 4711, ready: true}},
		{text: "FDSTORE=1", descriptors: 1, want: message{store: true}},
		{text: "FDSTORE=1\nFDNAME=tun-0", descriptors: 1, want: message{store: true, name: "tun-0"}},
		{text: "FDNAME=tun-0\nFDPOLL=0\nFDSTORE=1", descriptors: 1, want: message{store: true, name: "tun-0", unpolled: true}},
		{text: "FDSTOREREMOVE=1\nFDNAME=tun-0", want: message{remove: true, name: "tun-0"}},
		{text: "BARRIER=1", descriptors: 1, want: message{}},
		{text: "", want: message{}},
		{text: "\n\n=\n", want: message{}},

		{text: "READY=1\x00", err: "NUL"},
		{text: "MAINPID=", err: "MAINPID"},
		{text: "MAINPID=-7", err: "MAINPID"},
		{text: "MAINPID=1", err: "MAINPID"},
		{text: "MAINPID=4294967297", err: "MAINPID"},
		{text: "MAINPID=12x", err: "MAINPID"},
		{text: "FDSTORE=1", err: "0 descriptors"},
		{text: "FDSTORE=1", descriptors: 2, err: "2 descriptors"},
		{text: "FDSTORE=1\nFDNAME=a:b", descriptors: 1, err: "FDNAME"},
		{text: "FDSTORE=1\nFDNAME=", descriptors: 1, err: "FDNAME"},
		{text: "FDSTORE=1\nFDNAME=tün", descriptors: 1, err: "FDNAME"},
		{text: "FDSTORE=1\nFDNAME=" + strings.Repeat("n", 256), descriptors: 1, err: "FDNAME"},
		{text: "FDSTORE=1\nFDSTOREREMOVE=1\nFDNAME=a", descriptors: 1, err: "in one"},
		{text: "FDSTOREREMOVE=1", err: "without FDNAME"},
	} {
		got, err := parse(tt.text, tt.descriptors)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: %v, not %s", tt.text, err, tt.err)
			}
			continue
		}
		if tt.want.name == "" {
			tt.want.name = unnamed
		}
		if err != nil || got != tt.want {
			t.Errorf("%q: %+v, %v", tt.text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("READY=1\nMAINPID=17\nFDSTORE=1\nFDNAME=a", 1)
	f.Add("FDSTOREREMOVE=1\nFDNAME=a:b\nFDPOLL=0\nWATCHDOG=trigger", 0)
	f.Fuzz(func(t *testing.T, text string, descriptors int) {
		m, err := parse(text, descriptors)
		if err != nil {
			return
		}
		switch {
		case !validName(m.name):
			t.Errorf("name %q", m.name)
		case m.mainPID < 0 || m.mainPID == 1:
			t.Errorf("MAINPID %d", m.mainPID)
		case m.store && (m.remove || descriptors != 1):
			t.Errorf("%+v with %d descriptors", m, descriptors)
		}
	})
}
