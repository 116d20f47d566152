package nft

import (
	"sync"
	"testing"

	"github.com/vishvananda/netns"

	"stockade/firewall"
	"stockade/firewall/firewalltest"
)

// openIn opens an Enforcer in the namespace, closed at the end of the test.
func openIn(t testing.TB, ns netns.NsHandle, change ...func(*Options)) *Enforcer {
	t.Helper()
	o := Options{Config: firewall.DefaultConfig(), NetNS: int(ns)}
	for _, c := range change {
		c(&o)
	}
	e, err := Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestSuite(t *testing.T) {
	requireKernel(t)
	for _, owner := range []string{"auto", "off"} {
		t.Run("owner "+owner, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			namespaces := make(map[*testing.T]netns.NsHandle)
			firewalltest.Suite(t, func(t *testing.T) firewall.Enforcer {
				mu.Lock()
				defer mu.Unlock()
				ns, ok := namespaces[t]
				if !ok {
					ns = newNamespace(t)
					namespaces[t] = ns
				}
				return openIn(t, ns, func(o *Options) { o.Config.Owner = owner })
			}, true)
		})
	}
}
