package state

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stockade/jails"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestRestart(t *testing.T) {
	clock := newFakeClock()
	dir := t.TempDir()
	s := testStore(t, Options{Dir: dir, Now: clock.now})
	if r := s.Recovery(); !r.Missing || !r.Adopt() {
		t.Fatalf("first start: %+v", r)
	}
	j := testJail(t, func(c *jails.Config) { c.Ports = []string{"22"} })
	for range 3 {
		s.Fail(j, failure("192.0.2.7/32", clock.t))
	}
	s.Fail(j, failure("192.0.2.8/32", clock.t))
	clock.advance(time.Second)
	s.Fail(j, failure("192.0.2.8/32", clock.t))
	s.Fail(j, failure("2001:db8:1:2::/64", clock.t))
	s.Ban(Ban{Jail: "manual", Prefix: failure("198.51.100.0/24", clock.t).Prefix, Reason: "\xff because"})
	s.Ban(Ban{Jail: "manual", Prefix: failure("203.0.113.9/32", clock.t).Prefix, End: clock.t.Add(2 * time.Second)})
	before := s.Bans("")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	clock.advance(5 * time.Second)
	s = testStore(t, Options{Dir: dir, Now: clock.now})
	r := s.Recovery()
	if r.Missing || r.FellBack || r.Damaged != 0 || r.Bans != 2 || r.Windows != 2 || r.Offenders != 3 || r.Expired != 1 {
		t.Fatalf("recovery %+v", r)
	}
	after := s.Bans("")
	if len(after) != 2 {
		t.Fatalf("%d bans, want 2", len(after))
	}
	for i, b := range after {
		var old *Ban
		for _, o := range before {
			if o.Prefix == b.Prefix {
				old = o
			}
		}
		if old == nil || !old.End.Equal(b.End) || !old.Start.Equal(b.Start) || old.Reason != b.Reason || old.Scope != b.Scope || len(old.Evidence) != len(b.Evidence) {
			t.Errorf("ban %d: %+v, was %+v", i, b, old)
		}
	}
	if got, want := s.Counts("sshd"), (JailCounts{FailedCurrent: 2, FailedTotal: 6, BannedCurrent: 1, BannedTotal: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if out := s.Fail(j, failure("192.0.2.8/32", clock.t)); out.Ban == nil || len(out.Ban.Evidence) != 3 {
		t.Errorf("third failure after the restart: %+v", out)
	}
	clock.advance(6 * time.Second)
	if got := s.Windows(failure("2001:db8:1:2::/64", clock.t).Addr); len(got) != 0 {
		t.Errorf("window 11 s after its failure: %+v", got[0])
	}
}

// A folder written by an earlier version is read: testdata/v1 is a snapshot of schema 1. A change of
// the form needs a new schema number and keeps this test.
func TestReadsSchema1(t *testing.T) {
	clock := newFakeClock()
	const golden = "testdata/v1.snapshot"
	if *update {
		s := testStore(t, Options{Now: clock.now})
		fillGolden(s, testJail(t, nil), clock)
		v := s.view()
		var b bytes.Buffer
		if err := s.writeSnapshot(&b, s.db.Txn(false), v); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkSnapshot(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	want, got := testStore(t, Options{Now: clock.now}), testStore(t, Options{Now: clock.now})
	fillGolden(want, testJail(t, nil), clock)
	if err := got.readSnapshot(bytes.NewReader(data), got.moment(), &Recovery{}); err != nil {
		t.Fatal(err)
	}
	for _, b := range want.Bans("") {
		found := false
		for _, o := range got.BansOf(b.Prefix.Addr()) {
			found = found || cmp.Equal(o, b, cmp.Comparer(time.Time.Equal), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
		}
		if !found {
			t.Errorf("%+v is not in %+v", *b, *got.BansOf(b.Prefix.Addr())[0])
		}
	}
	if a, b := want.Counts("sshd"), got.Counts("sshd"); a != b {
		t.Errorf("counts %+v, want %+v", b, a)
	}
	addr := prefix("2001:db8:1:2::/64").Addr()
	if w := got.Windows(addr); len(w) != 1 || w[0].Count != 2 || w[0].Failures[0].Raw != "Failed password" {
		t.Errorf("windows %+v", w)
	}
}

// fillGolden makes what testdata/v1.snapshot holds.
func fillGolden(s *Store, j *jails.Jail, clock *fakeClock) {
	for range 3 {
		s.Fail(j, failure("192.0.2.7/32", clock.t))
	}
	for range 2 {
		s.Fail(j, failure("2001:db8:1:2::/64", clock.t))
	}
	s.Ban(Ban{Jail: "manual", Prefix: prefix("198.51.100.0/24"), Scope: "22,80/tcp", Reason: "r", Source: "operator",
		Trust: "kernel", Verdict: "reject"})
}

// copyDir is the folder as a killed process would leave it.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestKilledStoreKeepsWhatWasDurable(t *testing.T) {
	clock := newFakeClock()
	dir := t.TempDir()
	s := testStore(t, Options{Dir: dir, Now: clock.now})
	j := testJail(t, nil)
	for range 3 {
		s.Fail(j, failure("192.0.2.7/32", clock.t))
	}
	s.Ban(Ban{Jail: "manual", Prefix: failure("192.0.2.8/32", clock.t).Prefix})
	s.Unban(failure("192.0.2.8/32", clock.t).Prefix, "")
	if err := s.WaitDurable(t.Context(), s.Logged()); err != nil {
		t.Fatal(err)
	}
	s = testStore(t, Options{Dir: copyDir(t, dir), Now: clock.now}) // nothing was closed
	bans := s.Bans("")
	if len(bans) != 1 || bans[0].Jail != "sshd" || bans[0].Count != 1 || len(bans[0].Evidence) != 3 {
		t.Fatalf("bans %+v", bans)
	}
	if r := s.Recovery(); r.Adopt() || r.Records != 3 || r.Torn != 0 {
		t.Errorf("recovery %+v", r)
	}
	if got, want := s.Counts("sshd"), (JailCounts{FailedTotal: 3, BannedCurrent: 1, BannedTotal: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}
