package doctor

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// foreign is what nft 1.0.6 lists for testdata/foreign.nft.
func foreign(t *testing.T, sets map[string]bool) *Ruleset {
	t.Helper()
	out, err := os.ReadFile("testdata/foreign.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := read(t.Context(), "stockade", func(_ context.Context, args ...string) ([]byte, error) {
		if args[0] != "get" {
			return out, nil
		}
		if sets[args[4]+" "+args[5]] {
			return nil, nil
		}
		return nil, &complaintError{text: "Error: Could not process rule: No such file or directory", err: errors.New("exit status 1")}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestStopping(t *testing.T) {
	r := foreign(t, map[string]bool{"addr-set-sshd { 192.0.2.7 }": true, "nets { 198.51.100.5 }": true})
	tests := []struct {
		name, addr string
		want       []Stop
	}{
		{"an address that nobody stops", "192.0.2.8", nil},
		{"a set and a port", "192.0.2.7", []Stop{{"inet f2b-table", "f2b-chain", 6, "reject", "set addr-set-sshd", true}}},
		{"an interval set", "198.51.100.5", []Stop{{"inet f2b-table", "f2b-chain", 7, "drop", "set nets", false}}},
		{"a prefix", "203.0.113.9", []Stop{{"inet f2b-table", "f2b-chain", 8, "drop", "203.0.113.0/24", false}}},
		{"a list, by way of another chain", "203.0.115.1", []Stop{{"inet f2b-table", "sub", 5, "drop", "203.0.115.0/24", false}}},
		{"a range", "10.0.0.9", []Stop{{"inet f2b-table", "f2b-chain", 12, "drop", "10.0.0.1-10.0.0.9", false}}},
		{"behind the range", "10.0.0.10", nil},
		{"IPv6", "2001:db8::1", []Stop{{"inet f2b-table", "f2b-chain", 13, "drop", "2001:db8::/32", false}}},
		{"IPv6 that nobody stops", "2001:db9::1", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := netip.MustParseAddr(tt.addr)
			got, notes := r.Stopping(t.Context(), netip.PrefixFrom(a, a.BitLen()))
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if len(notes) > 0 {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

func TestOwnTableIsNotForeign(t *testing.T) {
	r, err := parse([]byte(`{"nftables":[
		{"chain":{"family":"inet","table":"stockade","name":"gate","hook":"prerouting","type":"filter","policy":"accept"}},
		{"chain":{"family":"ip","table":"stockade","name":"gate","hook":"prerouting","type":"filter","policy":"accept"}},
		{"rule":{"family":"inet","table":"stockade","chain":"gate","handle":1,"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"192.0.2.7"}},{"drop":null}]}},
		{"flowtable":{"family":"inet","name":"ft","table":"fw"}}]}`), "stockade")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.order) != 1 || r.order[0].family != "ip" || len(r.Flowtables) != 1 {
		t.Errorf("chains %+v, flowtables %q", r.order, r.Flowtables)
	}
	if stops, _ := r.Stopping(t.Context(), netip.MustParsePrefix("192.0.2.7/32")); len(stops) > 0 {
		t.Errorf("stops: %+v", stops)
	}
}

func TestWhatCannotBeAskedIsNoted(t *testing.T) {
	r := foreign(t, nil)
	r.run = func(context.Context, ...string) ([]byte, error) { return nil, errors.New("out of luck") }
	_, notes := r.Stopping(t.Context(), netip.MustParsePrefix("192.0.2.7/32"))
	if len(notes) != 2 || !strings.Contains(notes[0], "out of luck") {
		t.Errorf("notes: %q", notes)
	}
}

func FuzzRuleset(f *testing.F) {
	seed, err := os.ReadFile("testdata/foreign.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"nftables":[{"chain":{"family":"ip","table":"t","name":"c","hook":"input"}},{"rule":{"family":"ip","table":"t","chain":"c","expr":[{"jump":{"target":"c"}}]}}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := parse(doc, "stockade")
		if err != nil {
			return
		}
		asked := 0
		r.run = func(context.Context, ...string) ([]byte, error) { asked++; return nil, nil }
		r.Stopping(t.Context(), netip.MustParsePrefix("192.0.2.7/32"))
		if asked > maxGets {
			t.Errorf("%d sets were asked", asked)
		}
	})
}

// TestReadTheKernel compares with the program nft itself, in a network namespace of its own.
func TestReadTheKernel(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		runInNamespace(t)
		return
	}
	if out, err := exec.CommandContext(t.Context(), "nft", "-f", "testdata/foreign.nft").CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	r, err := Read(t.Context(), "stockade")
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]int{"192.0.2.7": 1, "198.51.100.5": 1, "198.51.101.5": 0, "10.0.0.5": 1} {
		got, notes := r.Stopping(t.Context(), netip.PrefixFrom(netip.MustParseAddr(addr), 32))
		if len(got) != want || len(notes) > 0 {
			t.Errorf("%s: %+v, notes %q; want %d rules", addr, got, notes, want)
		}
	}
}
