package pipeline

import (
	"context"
	"net/netip"
	"testing"
)

func TestIgnoreLiftsAndPrevents(t *testing.T) {
	r := newRig(t, 1)
	ctx := context.Background()
	bad := r.line("login", "failed login from 198.51.100.7")
	r.judged(t, repeat(3, bad)...)
	eventually(t, "banned", func() bool { return len(r.enforced(t)) == 1 })
	lists := map[string][]netip.Prefix{"login": {netip.MustParsePrefix("198.51.100.0/29")}}
	if err := r.Ignore(ctx, lists); err != nil {
		t.Fatal(err)
	}
	r.judged(t, repeat(3, bad)...)
	if held := r.enforced(t); len(held) != 0 {
		t.Errorf("held = %v; want nothing of an ignored address", held)
	}
	other := r.line("httpd", "198.51.100.7 401")
	r.judged(t, repeat(3, other)...)
	eventually(t, "another jail bans it", func() bool { return len(r.enforced(t)) == 1 })
	if err := r.Ignore(ctx, nil); err != nil {
		t.Fatal(err)
	}
	r.judged(t, repeat(3, bad)...)
	if got := len(r.store.Bans("login")); got != 1 {
		t.Errorf("%d bans once the list is empty again, want 1", got)
	}
}
