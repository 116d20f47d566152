package senders

import (
	"os"
	"testing"

	"stockade/cmd/stockade/e2e/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// observe is a stockade that records bans and enforces none, not started yet.
func observe(t testing.TB, config string) *rig.Daemon {
	t.Helper()
	return rig.NewDaemon(t, "", config+"\nfirewall: {backend: observe}\n")
}
