package nft

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// TestAnotherIPv6PrefixForgetsTheOldKeys: a key of 64 bits is no key of 56.
func TestAnotherIPv6PrefixForgetsTheOldKeys(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	ns := newNamespace(t)
	e := openIn(t, ns)
	long := banChange("192.0.2.7/32", "22,1000-2000/udp,3000", time.Hour)
	applyAll(t, e, []firewall.Change{banChange("2001:db8:0:7::/64", "", time.Hour), banChange("192.0.2.7/32", "", time.Hour), long})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openIn(t, ns, func(o *Options) { o.Config.IPv6Prefix = 56 })
	if n := count(t, e); n != 2 {
		t.Errorf("%d elements, want the two IPv4 ones", n)
	}
	applyAll(t, e, []firewall.Change{banChange("2001:db8::/56", "", time.Hour), banChange("2001:db8:0:7::/64", "", time.Hour)})
	if got := listSet(t, ns, "ban6"); len(got) != 1 || got[0].first.String() != "2001:db8::" {
		t.Errorf("ban6 holds %v", got)
	}
	if !strings.Contains(command(t, ns, "nft", "list chain inet stockade gate"), "ip6 saddr & ffff:ffff:ffff:ff00:: == @ban6") {
		t.Error("the gate does not mask to 56 bits")
	}
}

// TestSetNames: names are identifiers of at most 31 bytes, and a set is known again by name and
// comment.
func TestSetNames(t *testing.T) {
	wide, err := firewall.NewScope([]string{"22", "25", "80/tcp", "110", "143", "443", "465", "587", "993", "995", "5060/udp"})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]setID)
	for _, scope := range []firewall.Scope{"", "22", "22/tcp", "22/udp", "22-23", "22,24", "80/tcp,443", wide} {
		for _, v := range verdicts {
			for k := range kinds {
				id := setID{k, scope, v}
				name := id.name()
				if was, ok := seen[name]; ok {
					t.Errorf("%v and %v are both %s", was, id, name)
				}
				seen[name] = id
				if len(name) > maxSetName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
					t.Errorf("%v is called %q", id, name)
				}
				if got, ok := parseSet(name, id.comment(64)); !ok || got != id {
					t.Errorf("%q is known as %v, want %v", name, got, id)
				}
			}
		}
	}
	for name, comment := range map[string]string{"never4": "", "seen6": "", "mine": "", "ban4_p22": "", "ban4": "ports 22", "ban4_p23": "ports 22"} {
		if id, ok := parseSet(name, comment); ok {
			t.Errorf("%q with comment %q is known as %v", name, comment, id)
		}
	}
}

// TestManyProtected: an operator's list may be long.
func TestManyProtected(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	ns := newNamespace(t)
	e := openIn(t, ns)
	_ = e.writer.raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10) })
	var addrs []string
	for i := range 6000 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{100, 64, byte(i >> 7), byte(i << 1)}).String())
	}
	protect(t, e, addrs...)
	always := len(listSet(t, ns, never4)) - len(addrs)
	if always < 4 || always > 6 {
		t.Errorf("%d protected prefixes besides the list", always)
	}
	protect(t, e, addrs[:10]...)
	if n := len(listSet(t, ns, never4)); n != always+10 {
		t.Errorf("%d protected prefixes, want %d", n, always+10)
	}
}
