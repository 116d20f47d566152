package main

import (
	"os"
	"slices"
	"testing"
)

func TestUnwritten(t *testing.T) {
	const smaps = `00400000-00d52000 r-xp 00000000 fe:00 10446754                           /usr/bin/stock ade
Size:               9544 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00d52000-016e6000 r--p 00952000 fe:00 10446754                           /usr/bin/stock ade
Anonymous:             0 kB
016e6000-016e7000 r--p 012e6000 fe:00 10446754                           /usr/bin/stock ade
Anonymous:             4 kB
016e7000-01784000 rw-p 012e7000 fe:00 10446754                           /usr/bin/stock ade
Anonymous:             0 kB
01784000-037cb000 r--p 00000000 00:00 0
Anonymous:             0 kB
7fa3a1074000-7fa3a109a000 r--p 00000000 fe:00 326269                     /usr/lib/libc.so.6
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0xd52000}, {0xd52000, 0x16e6000}}
	if got := unwritten(smaps, "/usr/bin/stock ade"); !slices.Equal(got, want) {
		t.Errorf("mappings %x, want %x", got, want)
	}
}

// The program works on after its pages were let go, and finds its own among the maps.
func TestForgetPages(t *testing.T) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Skip("no /proc:", err)
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	if got := unwritten(string(maps), program); len(got) == 0 {
		t.Errorf("nothing of %s in\n%s", program, maps)
	}
	for range 3 {
		forgetPages()
		TestUnwritten(t)
	}
}
