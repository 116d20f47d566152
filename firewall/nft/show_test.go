package nft

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stockade/firewall"
)

func options(ns int) Options { return Options{Config: firewall.DefaultConfig(), NetNS: ns} }

// normal is a listing of nft without what differs between equal tables.
func normal(listing string) string {
	for _, cut := range []string{`expires [0-9dhms]+`, `timeout [0-9dhms]+`, ` # handle \d+`, ` # progname .*`, `packets \d+ bytes \d+`} {
		listing = regexp.MustCompile(cut).ReplaceAllString(listing, "")
	}
	// nft makes a comparison of a set of one port, and cannot print one of two protocols' ports.
	listing = regexp.MustCompile(`\{ ([0-9-]+) \}`).ReplaceAllString(listing, "$1")
	listing = regexp.MustCompile(`0x[0-9a-f]+ \[invalid type\]`).ReplaceAllStringFunc(listing, func(s string) string {
		port, _ := strconv.ParseUint(strings.TrimPrefix(strings.Fields(s)[0], "0x"), 16, 16)
		return strconv.FormatUint(port, 10)
	})
	lines := strings.Split(listing, "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return l == "" || strings.HasPrefix(l, "flags owner") || strings.HasPrefix(l, "flags persist")
	})
	return strings.Join(lines, "\n")
}

// chainBodies are the chains of a listing by name.
func chainBodies(listing string) map[string]string {
	out := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?s)chain (\w+) \{\n(.*?)\n\}`).FindAllStringSubmatch(listing, -1) {
		out[m[1]] = m[2]
	}
	return out
}

// TestShowIsTheTable loads what Show writes with the program nft and compares the two tables:
// the texts of our rules mean what their expressions do.
func TestShowIsTheTable(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	ns := newNamespace(t)
	e := openIn(t, ns)
	fill(t, e, 10)
	protect(t, e, "203.0.113.1", "2001:db8:f::1")
	for _, scope := range []firewall.Scope{"22", "80/tcp,443,6000-6010/udp"} {
		for _, v := range verdicts {
			c := banChange("192.0.2.77/32", scope, time.Hour)
			c.Verdict = v
			applyAll(t, e, []firewall.Change{c})
		}
	}
	var shown bytes.Buffer
	if err := Show(options(int(ns)), &shown, 100); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"100.64.0.3 counter", "198.51.100.0/24", `comment "sshd"`, "203.0.113.1/32", "goto judge"} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("%q is not shown", want)
		}
	}
	file := filepath.Join(t.TempDir(), "stockade.nft")
	if err := os.WriteFile(file, shown.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := newNamespace(t)
	command(t, copied, "nft", "-f", file)
	want, got := normal(command(t, ns, "nft", "list table inet stockade")), normal(command(t, copied, "nft", "list table inet stockade"))
	wantChains, gotChains := chainBodies(want), chainBodies(got)
	if len(wantChains) != 7 {
		t.Errorf("%d chains", len(wantChains))
	}
	for name, body := range wantChains {
		want, got := strings.Split(body, "\n"), strings.Split(gotChains[name], "\n")
		if len(got) != len(want) {
			t.Errorf("chain %s has %d lines, as loaded from its text %d", name, len(want), len(got))
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("chain %s:\n%s\nas loaded from its text:\n%s", name, want[i], got[i])
			}
		}
	}
}

func TestVerifyAndRemove(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	ns := newNamespace(t)
	o := options(int(ns))
	verify := func(want ...string) {
		t.Helper()
		got, err := Verify(o)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
		for i, w := range want {
			if !strings.Contains(got[i], w) {
				t.Errorf("%q, want %q", got[i], w)
			}
		}
	}
	verify("table is gone")
	if err := Remove(o); err != nil {
		t.Errorf("Remove of nothing: %v", err)
	}
	e := openIn(t, ns)
	fill(t, e, 10)
	verify()
	if err := Remove(o); e.Owned() && !errors.Is(err, ErrOwned) {
		t.Errorf("Remove beside a daemon: %v", err)
	}
	_ = e.Close()
	verify()
	command(t, ns, "nft", "flush chain inet stockade judge")
	verify("chain judge")
	command(t, ns, "nft", "delete chain inet stockade awayout; add set inet stockade mine { type ipv4_addr; }")
	verify("set mine is not ours", "chain judge", "chain awayout has 0", "chain awayout is not at its hook")
	e = openIn(t, ns)
	verify()
	if n := count(t, e); n != 15 {
		t.Errorf("%d elements, want 15", n)
	}
	_ = e.Close()
	if err := Remove(o); err != nil {
		t.Fatal(err)
	}
	if out := command(t, ns, "nft", "list ruleset"); strings.TrimSpace(out) != "" {
		t.Errorf("left:\n%s", out)
	}
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	requireKernel(t, "ip")
	ns := newNamespace(t)
	diagnose := func() (kinds []string) {
		t.Helper()
		var causes []Cause
		err := in(ns, func() (err error) {
			causes, err = Diagnose(options(int(ns)))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range causes {
			kinds = append(kinds, c.Kind)
			t.Log(c.Text)
		}
		return kinds
	}
	if got := diagnose(); len(got) > 0 {
		t.Errorf("causes in an empty namespace: %v", got)
	}
	for _, c := range []string{"link add br0 type bridge", "link add p1 type veth peer p2", "link set p1 master br0", "link set p2 master br0"} {
		command(t, ns, append([]string{"ip"}, strings.Fields(c)...)...)
	}
	const calls = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	for value, want := range map[string][]string{"0": {"bridge"}, "1": nil} {
		err := in(ns, func() error { return os.WriteFile(calls, []byte(value), 0) })
		if errors.Is(err, os.ErrNotExist) {
			want = []string{"bridge"} // without br_netfilter
		} else if err != nil {
			t.Fatal(err)
		}
		if got := diagnose(); !slices.Equal(got, want) {
			t.Errorf("causes with a bridge of two ports, %s=%s: %v, want %v", calls, value, got, want)
		}
	}
}

// TestRemoveAll takes the table out under an Enforcer that owns it.
func TestRemoveAll(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	ns := newNamespace(t)
	e := openIn(t, ns)
	fill(t, e, 10)
	if err := e.RemoveAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if out := command(t, ns, "nft", "list ruleset"); strings.TrimSpace(out) != "" {
		t.Errorf("left:\n%s", out)
	}
	if _, err := e.Apply(context.Background(), nil); err == nil {
		t.Error("Apply after RemoveAll is no error")
	}
}
