package state

import (
	"net/netip"
	"testing"
	"time"
)

func TestRememberedOffendersCount(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	one, two := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	for _, tc := range []struct {
		name   string
		prefix netip.Prefix
		count  int
		last   time.Time
		want   bool
	}{
		{"three bans", one, 3, now.Add(-time.Hour), true},
		{"fewer are known already", one, 2, now, false},
		{"more", one, 4, now.Add(-2 * time.Hour), true},
		{"none", two, 0, now, false},
		{"too long ago", two, 3, now.Add(-60 * 24 * time.Hour), false},
	} {
		if got := s.Remember("sshd", tc.prefix, tc.count, tc.last); got != tc.want {
			t.Errorf("%s: %t, want %t", tc.name, got, tc.want)
		}
	}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := s.Offenders(one.Addr())
	if len(all) != 1 || all[0].Count != 4 || all[0].Last.Sub(now.Add(-time.Hour)).Abs() > time.Second {
		t.Fatalf("after a restart the store remembers %+v", all)
	}
	b, _ := s.Ban(Ban{Jail: "sshd", Prefix: one, End: now.Add(time.Hour)})
	if b.Count != 5 {
		t.Errorf("the next ban is number %d, want 5", b.Count)
	}
	if b, _ := s.Ban(Ban{Jail: "sshd", Prefix: two, End: now.Add(time.Hour)}); b.Count != 1 {
		t.Errorf("the first ban of another is number %d", b.Count)
	}
}
