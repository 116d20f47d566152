package filter

import (
	"net/netip"
	"testing"
)

// FuzzIPv4: an address is read as netip reads it, or left to netip.
func FuzzIPv4(f *testing.F) {
	for _, s := range []string{
		"192.0.2.7", "0.0.0.0", "255.255.255.255", "256.1.1.1", "1.2.3", "1.2.3.4.5", "1.2.3.04", "01.2.3.4", "1..2.3", ".1.2.3.4", "1.2.3.4.",
		"1.2.3.4/8", "1.2.3.1000", "::1", "", "1", "1.2.3.+4",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := parseIPv4(b)
		want, err := netip.ParseAddr(string(b))
		if ok != (err == nil && want.Is4()) || ok && got != want {
			t.Errorf("%q reads %v, %v; netip: %v, %v", b, got, ok, want, err)
		}
	})
}

func TestIPv4AllocatesNothing(t *testing.T) {
	b := []byte("198.51.100.107")
	if n := testing.AllocsPerRun(100, func() { parseAddr(b) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
