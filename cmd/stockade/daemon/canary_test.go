package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/pipeline"
	"stockade/receiver"
)

// sing sends the canary of a key as the shell line of `stockade canary` does.
func sing(t testing.TB, conn net.Conn, k control.CanaryKey, at time.Time) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `c=stockade-canary.$1.$2.300.$3; m=$(printf %s "$4 $c $4" | sha256sum); printf '%s' "$c.$(printf %.32s "$m")"`,
		"sh", k.Source, k.Jail, fmt.Sprint(at.UnixMilli()), k.Key).Output()
	if err != nil {
		t.Fatal(err)
	}
	say(t, conn, k, string(out))
	return string(out)
}

func say(t testing.TB, conn net.Conn, k control.CanaryKey, word string) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "<38>Nov 24 10:00:00 host %s[7]: %s\n", k.App, strings.Replace(string(k.Line), canaryPlace, word, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestCanaryProvesItsWayAndNeverCounts(t *testing.T) {
	s := serve(t, configText(2, true, sshd("sshd", ", maxretry: 1"), sshd("again", ", maxretry: 1")))
	conn := s.connect()
	if list, err := s.Canaries(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("canaries = %v, %v", list, err)
	}
	k, err := s.CanaryKey(t.Context(), control.CanaryRequest{Source: "here"})
	if err != nil || k.Jail != "sshd" || !strings.Contains(string(k.Line), canaryPlace) || len(k.Key) != 32 {
		t.Fatalf("key = %+v, %v", k, err)
	}
	if info, err := os.Stat(filepath.Join(s.dir, "state", canaryFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the master key: %v, %v", info, err)
	}
	now := time.Now()
	word := sing(t, conn, k, now)
	var list []control.Canary
	eventually(t, "the canary is heard", func() bool {
		list, err = s.Canaries(t.Context())
		return err == nil && len(list) == 1
	})
	if c := list[0]; c.Source != "here" || c.Jail != "sshd" || c.State != control.CanaryOK || c.Trust != "kernel" || c.Count != 1 ||
		c.Every != 300 || c.Latency < -1 || c.Latency > 60 {
		t.Errorf("canary = %+v", c)
	}

	// What proves nothing is refused, and counts as little.
	say(t, conn, k, word)                                      // again
	sing(t, conn, k, now.Add(-2*time.Hour))                    // too old
	sing(t, conn, k, now.Add(time.Hour))                       // from the future
	say(t, conn, k, word[:len(word)-1]+"x")                    // forged
	say(t, conn, k, "stockade-canary.")                        // empty
	say(t, conn, k, strings.Replace(word, "here", "there", 1)) // of another source
	eventually(t, "six are refused", func() bool {
		r := s.source().Refused
		return r[refusedCanaryStale] == 3 && r[refusedCanary] == 2*3 // two jails know the line
	})
	if x := s.source(); x.Failures != 0 || s.banned("") != "" {
		t.Errorf("canaries count: %+v, banned %s", x, s.banned(""))
	}
	if list, err := s.Canaries(t.Context()); err != nil || list[0].Count != 1 {
		t.Errorf("canaries = %+v, %v", list, err)
	}

	// The mark is no cloak: an address that belongs to somebody counts.
	fmt.Fprintf(conn, "<38>Nov 24 10:00:00 host sshd[8]: Failed password for %s from 198.18.0.66 port 55000 ssh2\n", word)
	eventually(t, "the failure counts", func() bool { return s.banned("sshd") == "198.18.0.66" })

	if again, err := s.CanaryKey(t.Context(), control.CanaryRequest{Source: "here", Jail: "sshd"}); err != nil || again.Key != k.Key {
		t.Errorf("the key changed: %+v, %v", again, err)
	}
	var refused *control.Error
	if _, err := s.CanaryKey(t.Context(), control.CanaryRequest{Source: "here", Forget: true}); err != nil {
		t.Error(err)
	}
	if _, err := s.CanaryKey(t.Context(), control.CanaryRequest{Source: "here", Forget: true}); !errors.As(err, &refused) || refused.Code != control.CodeNotFound {
		t.Errorf("nothing to forget: %v", err)
	}
	if k, err := s.CanaryKey(t.Context(), control.CanaryRequest{Source: "here", Jail: "app"}); err != nil || k.Line != "" || k.App != "app" {
		t.Errorf("an inline filter has no sample: %+v, %v", k, err)
	}
	if _, err := s.CanaryKey(t.Context(), control.CanaryRequest{Source: "here", Jail: "nope"}); !errors.As(err, &refused) || refused.Code != control.CodeUsage {
		t.Errorf("an unknown jail: %v", err)
	}
}

func TestOverdueCanaryIsACondition(t *testing.T) {
	s := serve(t, configText(2, true, sshd("sshd", "")))
	k, err := s.CanaryKey(t.Context(), control.CanaryRequest{Source: "here"})
	if err != nil {
		t.Fatal(err)
	}
	sing(t, s.connect(), k, time.Now())
	way := canaryWay{"here", "sshd"}
	eventually(t, "the canary is heard", func() bool { list, err := s.Canaries(t.Context()); return err == nil && len(list) == 1 })
	s.d.canaries.mu.Lock()
	c := s.d.canaries.last[way]
	c.judged = c.judged.Add(-time.Hour)
	s.d.canaries.last[way] = c
	s.d.canaries.mu.Unlock()
	eventually(t, "status is degraded", func() bool {
		st, err := s.Status(t.Context())
		return err == nil && len(st.Degraded) == 1 && st.Degraded[0].Name == "canary" && strings.Contains(st.Degraded[0].Cause, "source here for jail sshd")
	})
	sing(t, s.connect(), k, time.Now())
	eventually(t, "it clears", func() bool { st, err := s.Status(t.Context()); return err == nil && st.State == control.StateOK })
}

func FuzzCanary(f *testing.F) {
	for _, seed := range []string{"", "stockade-canary.", "x stockade-canary.a.b.300.1.00", "stockade-canary.a.b.c.d.e.f", "stockade-canary......", "stockade-canary.a.b.-1.9999999999999999999.é"} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	c, err := openCanaries(dir)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := c.key("a"); err != nil {
		f.Fatal(err)
	}
	source := &receiver.Source{SourceConfig: receiver.SourceConfig{Name: "a"}, SourceStats: new(receiver.SourceStats)}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if reason := c.judge(pipeline.Canary{Source: source, Jail: "b", Raw: raw}, time.Now()); reason == "" {
			t.Fatalf("%q was taken for a canary", raw)
		}
	})
}
