package main

import (
	"net/netip"
	"testing"
)

func TestSSHClient(t *testing.T) {
	tests := []struct{ name, environ, want string }{
		{"connection", "A=1\x00SSH_CONNECTION=198.51.100.4 50000 192.0.2.1 22\x00B=2\x00", "198.51.100.4"},
		{"client", "SSH_CLIENT=2001:db8::4 50000 22\x00", "2001:db8::4"},
		{"link-local with a zone", "SSH_CLIENT=fe80::4%eth0 50000 22\x00", "fe80::4"},
		{"mapped", "SSH_CLIENT=::ffff:198.51.100.4 1 22", "198.51.100.4"},
		{"a name that only ends so", "MY_SSH_CLIENT=198.51.100.4 1 22\x00", ""},
		{"nonsense", "SSH_CLIENT=UNKNOWN\x00", ""},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		got := sshClient(lookup([]byte(tt.environ)))
		want, _ := netip.ParseAddr(tt.want)
		if got != want {
			t.Errorf("%s: %s, want %q", tt.name, got, tt.want)
		}
	}
}

func TestParentOf(t *testing.T) {
	for stat, want := range map[string]int{
		"7 (sh) S 42 7 7 0":        42,
		"7 (a) R 1 (b) S 42 7 7 0": 42,
		"7 (new\nline) S 42 7":     42,
		"7 (sh)":                   0,
		"":                         0,
		"7 (sh) S many 7 7":        0,
	} {
		if got := parentOf([]byte(stat)); got != want {
			t.Errorf("%q: parent %d, want %d", stat, got, want)
		}
	}
}
