package rig

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

var namespaces atomic.Int32 // made so far

// NewNS makes a network namespace with a loopback interface and returns its name. It needs root and
// the programs ip and nft, else the test is skipped.
func NewNS(t testing.TB) string {
	t.Helper()
	RequireRoot(t)
	RequirePrograms(t, "ip", "nft")
	ns := fmt.Sprintf("stk%d-%d", os.Getpid(), namespaces.Add(1)) // the reaper knows them by it
	Sh(t, "", "ip", "netns", "add", ns)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	Sh(t, ns, "ip", "link", "set", "lo", "up")
	return ns
}

// InNS is a command run in a network namespace; "" is the test's own.
func InNS(ns string, args ...string) *exec.Cmd {
	if ns != "" {
		args = append([]string{"ip", "netns", "exec", ns}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.WaitDelay = 2 * time.Second // a grandchild may keep the pipes open
	return cmd
}

// Sh runs a command that must succeed and returns its output.
func Sh(t testing.TB, ns string, args ...string) string {
	t.Helper()
	out, err := InNS(ns, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Inside runs f on a thread of its own inside a network namespace: sockets it makes are of there. It
// may be called concurrently; f must not end the test.
func Inside(ns string, f func() error) error {
	if ns == "" {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		h, err := netns.GetFromName(ns)
		if err == nil {
			defer func() { _ = h.Close() }()
			err = netns.Set(h)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// Connect connects to an address of a host from that host itself, until the test ends.
func Connect(t testing.TB, ns, network, address string) net.Conn {
	t.Helper()
	var conn net.Conn
	if err := Inside(ns, func() (err error) { conn, err = net.DialTimeout(network, address, 5*time.Second); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Element is one element of a set, as nft reads it back.
type Element struct {
	Address string
	Expires time.Duration // 0: never; nft rounds down to seconds
	Comment string
}

// Set reads a set of table inet stockade with nft; it is empty where there is no such set.
func Set(t testing.TB, ns, name string) []Element {
	t.Helper()
	out, err := InNS(ns, "nft", "-j", "list", "set", "inet", "stockade", name).Output()
	if err != nil {
		return nil // no such set: nothing of ours was ever loaded
	}
	var doc struct {
		NFTables []struct {
			Set *struct {
				Elem []json.RawMessage `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatalf("nft -j: %v", err)
	}
	var list []Element
	for _, o := range doc.NFTables {
		if o.Set == nil {
			continue
		}
		for _, raw := range o.Set.Elem {
			list = append(list, parseElement(t, raw))
		}
	}
	return list
}

// SetOf is Set, listed until there are so many elements, for at most 30 s: beside the kernel's work on a
// set that grew a listing may miss some.
func SetOf(t testing.TB, ns, name string, n int) (list []Element) {
	t.Helper()
	Soon(30*time.Second, func() bool { list = Set(t, ns, name); return len(list) == n })
	return list
}

func parseElement(t testing.TB, raw json.RawMessage) Element {
	t.Helper()
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		return Element{Address: plain}
	}
	var full struct {
		Elem struct {
			Val     json.RawMessage `json:"val"`
			Expires int64           `json:"expires"`
			Comment string          `json:"comment"`
		} `json:"elem"`
	}
	if err := json.Unmarshal(raw, &full); err != nil {
		t.Fatalf("nft -j: element %s: %v", raw, err)
	}
	return Element{strings.Trim(string(full.Elem.Val), `"`), time.Duration(full.Elem.Expires) * time.Second, full.Elem.Comment}
}

// Holds reports whether a set has an address.
func Holds(t testing.TB, ns, name, address string) bool {
	t.Helper()
	for _, e := range Set(t, ns, name) {
		if e.Address == address {
			return true
		}
	}
	return false
}
