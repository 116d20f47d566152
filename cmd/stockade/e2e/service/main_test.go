package service

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

const units = "../../../../examples/systemd/"

// failedLogin is a line of sshd over TCP. Every n is an attempt of its own.
func failedLogin(n int, addr netip.Addr) string {
	return fmt.Sprintf("<38>%s web1 sshd[%d]: Failed password for root from %s port 40022 ssh2\n", time.Now().Format(time.Stamp), 1000+n, addr)
}

// numbered is the n-th address of offenders.
func numbered(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}) }
