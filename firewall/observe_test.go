package firewall_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"stockade/firewall"
	"stockade/firewall/firewalltest"
)

func TestObserve(t *testing.T) {
	firewalltest.Suite(t, func(*testing.T) firewall.Enforcer { return firewall.NewObserve() }, false)
}

func TestObserveReconcile(t *testing.T) {
	element := func(p string, end time.Duration) firewall.Element {
		return firewall.Element{Prefix: netip.MustParsePrefix(p), End: time.Now().Add(end), Comment: "sshd"}
	}
	a, b, c := element("192.0.2.1/32", time.Hour), element("192.0.2.2/32", time.Hour), element("192.0.2.3/32", time.Hour)
	ended, everybody := element("192.0.2.4/32", -time.Second), element("0.0.0.0/0", time.Hour)
	for _, tt := range []struct {
		foreign firewall.Foreign
		listed  int
		removed int
		left    int
	}{{firewall.ForeignIgnore, 0, 0, 3}, {firewall.ForeignAdopt, 1, 0, 3}, {firewall.ForeignRemove, 1, 1, 2}} {
		o := firewall.NewObserve()
		if _, err := o.Apply(context.Background(), []firewall.Change{{Element: a}, {Element: c}}); err != nil {
			t.Fatal(err)
		}
		var _ firewall.Reconciler = o
		r, err := o.Reconcile(context.Background(), slices.Values([]firewall.Element{a, b, ended, everybody}), tt.foreign)
		if err != nil || r.Desired != 3 || r.Present != 1 || r.Set != 1 || r.Failed != 1 || r.Err == nil ||
			len(r.Foreign) != tt.listed || r.Removed != tt.removed {
			t.Errorf("%+v, %v", r, err)
		}
		left := 0
		_ = o.Elements(context.Background(), func(firewall.Element, firewall.Counters) bool { left++; return true })
		if left != tt.left {
			t.Errorf("%d elements left, want %d", left, tt.left)
		}
	}
}
