package pipeline

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
)

func TestVerdicts(t *testing.T) {
	v := newVerdicts("sshd", "nginx*", "/usr/{sbin,lib/openssh}/sshd*")
	for name, want := range map[string]bool{
		"sshd": true, "sshd-session": false, "nginx": true, "nginx-proxy": true, "nginx/worker": false, "": false,
		"/usr/sbin/sshd": true, "/usr/lib/openssh/sshd-session": true, "/usr/local/sbin/sshd": false, "/usr/sbin/x/sshd": false,
	} {
		for range 2 { // found, then remembered
			if got := v.match(name); got != want {
				t.Errorf("%q: %v, want %v", name, got, want)
			}
			if got := v.matchBytes([]byte(name)); got != want {
				t.Errorf("%q as bytes: %v, want %v", name, got, want)
			}
		}
	}
	for n := range 3 * maxVerdicts {
		name := fmt.Sprintf("nginx-%d", n)
		if !v.match(name) || v.match("x"+name) {
			t.Fatalf("%s: %v, x%s: %v", name, v.match(name), name, v.match("x"+name))
		}
	}
	if n := len(*v.known.Load()); n != maxVerdicts {
		t.Errorf("%d verdicts are kept, want %d", n, maxVerdicts)
	}
	known := []byte("sshd-session")
	if n := testing.AllocsPerRun(100, func() { v.matchBytes(known) }); n != 0 {
		t.Errorf("%v allocations for a name that is known", n)
	}
}

// FuzzVerdicts: a verdict is what the globs say, the first time and later.
func FuzzVerdicts(f *testing.F) {
	f.Add("nginx*", "nginx-proxy")
	f.Add("/usr/{sbin,lib/openssh}/sshd*", "/usr/sbin/sshd")
	f.Add("[a-c]?", "b\xff")
	f.Fuzz(func(t *testing.T, glob, name string) {
		if !doublestar.ValidatePattern(glob) {
			return
		}
		v := newVerdicts("other", glob)
		want := name == "other" || name == glob || doublestar.MatchUnvalidated(glob, name)
		for range 2 {
			if got := v.match(name); got != want {
				t.Errorf("%q matches %q: %v, want %v", glob, name, got, want)
			}
		}
	})
}

// FuzzParseUID: it reads what the standard library reads.
func FuzzParseUID(f *testing.F) {
	for _, s := range []string{"0", "4294967295", "4294967296", "", "+1", "1_0", "00000000000000000000000007", "99999999999999999999999999", "1\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want, err := strconv.ParseUint(string(text), 10, 32)
		if got, ok := parseUID(text); ok != (err == nil) || ok && uint64(got) != want {
			t.Errorf("%q is %d, %v, want %d, %v", text, got, ok, want, err)
		}
	})
}

// TestUnknownSourceIsGrantedNothing: also a line that claims no host is refused.
func TestUnknownSourceIsGrantedNothing(t *testing.T) {
	var none *grant
	for host, want := range map[string]string{"": refusedApp, "web1": refusedHostname} {
		if reason := none.admit([]byte(host), []byte("sshd")); reason != want {
			t.Errorf("host %q: refused for %q, want %q", host, reason, want)
		}
	}
}
