package firewall_test

import (
	"testing"

	"stockade/firewall"
	"stockade/firewall/firewalltest"
)

func TestObserve(t *testing.T) {
	firewalltest.Suite(t, func(*testing.T) firewall.Enforcer { return firewall.NewObserve() }, false)
}
