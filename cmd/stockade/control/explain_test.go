package control_test

import (
	"net/netip"
	"testing"

	"stockade/cmd/stockade/control"
)

func TestNames(t *testing.T) {
	tests := []struct {
		name, text, prefix string
		want               bool
	}{
		{"alone", "192.0.2.7", "192.0.2.7/32", true},
		{"in a sentence", "Failed password from 192.0.2.7.", "192.0.2.7/32", true},
		{"with a port", "peer 192.0.2.7:4711 refused", "192.0.2.7/32", true},
		{"behind an equals sign", "SRC=192.0.2.7 DST=192.0.2.1", "192.0.2.7/32", true},
		{"behind a colon", "address:192.0.2.7", "192.0.2.7/32", true},
		{"in brackets with a port", "from [2001:db8::7]:22", "2001:db8::/64", true},
		{"in IPv6 clothes", "from ::ffff:192.0.2.7 port 22", "192.0.2.7/32", true},
		{"a longer number", "192.0.2.71", "192.0.2.7/32", false},
		{"a number before it", "1192.0.2.7", "192.0.2.7/32", false},
		{"another of the prefix", "192.0.2.99", "192.0.2.0/24", true},
		{"nothing", "", "192.0.2.7/32", false},
		{"bytes that are no text", "\xff\xfe192.0.2.7\x00", "192.0.2.7/32", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := control.Names(tt.text, netip.MustParsePrefix(tt.prefix)); got != tt.want {
				t.Errorf("Names(%q, %s) = %v", tt.text, tt.prefix, got)
			}
		})
	}
}
