package receiver

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"stockade/receiver/receivertest"
)

func TestRefusalsAreCountedAllAndLoggedInBounds(t *testing.T) {
	log := new(receivertest.Log)
	r := &refusals{listener: "lan", log: slog.New(slog.NewJSONHandler(log, nil)), every: time.Minute}
	now := time.Unix(1_000_000, 0)
	flood := func(from, to int) {
		for i := from; i < to; i++ {
			a := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) //nolint:gosec // cut on purpose
			for range 3 {
				r.add(now, &refusal{reason: ReasonUnknownPeer, peer: &Peer{Level: LevelAddress, Addr: netip.AddrPortFrom(a, 1)}, sample: []byte("<38>x")})
			}
		}
	}
	flood(0, 5000)
	if all := r.All(); len(all) != 1 || all[0].Count != 15_000 || all[0].Sample != "<38>x" {
		t.Fatalf("counted %+v", all)
	}
	lines := strings.Count(log.String(), "\n")
	if lines != maxNamed+1 || len(r.last) != maxNamed || !strings.Contains(log.String(), "more peers than can be named") {
		t.Fatalf("%d log lines, %d peers remembered, want %d and one that says so", lines, len(r.last), maxNamed)
	}
	now = now.Add(time.Minute)
	flood(6000, 6010)
	if got := strings.Count(log.String(), "\n") - lines; got != 10 {
		t.Fatalf("%d log lines a minute later, want 10", got)
	}
	if len(r.last) > maxNamed {
		t.Fatalf("%d peers remembered", len(r.last))
	}
}

func TestHintsNameTheLineThatWouldAllow(t *testing.T) {
	addr := netip.MustParseAddrPort("[2001:db8::7]:514")
	for _, tt := range []struct {
		peer Peer
		want string
	}{
		{Peer{Level: LevelSpoofable, Addr: netip.MustParseAddrPort("192.0.2.7:514")}, `addresses: [192.0.2.7]`},
		{Peer{Level: LevelAddress, Addr: addr}, `addresses: ["2001:db8::7"]`},
		{Peer{Level: LevelKernel, UID: 1000}, `uid: [1000]`},
		{Peer{Level: LevelTLS, Addr: addr, Cert: &Certificate{Names: []string{"a\n\x1b[31m"}}}, `certificate: {san: "a\n\x1b[31m"}`},
		{Peer{Level: LevelTLS, Addr: addr, Cert: &Certificate{SHA256: [32]byte{0xab}}}, `certificate: {sha256: ab00`},
	} {
		want := fmt.Sprintf("to allow it: sources: [{name: NAME, listener: lan, %s", tt.want)
		if got := permit("lan", &tt.peer); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `jails: ["*"]}]`) {
			t.Errorf("hint %q, want %q", got, want)
		}
	}
}

func TestHostileTextStaysOneLogLine(t *testing.T) { // bar C12
	ca := newAuthority(t, "ca", nil)
	r := start(t, ca.files(t, t.TempDir()), named("web1"), nil)
	evil := template("evil.lan")
	evil.DNSNames = []string{"evil.lan\nlevel=INFO msg=faked", "\x1b[31mred"}
	if c, err := r.dialTLS(ca.clientConfig(ca.issue(t, evil, ecKey(t)))); err == nil {
		_, _ = c.Read(make([]byte, 1))
	}
	r.wait("refusal", func() bool { return len(r.Stats().Refused) == 1 })
	for line := range strings.SplitSeq(strings.TrimSpace(r.log.String()), "\n") {
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\x1b\r") {
			t.Fatalf("log line %q", line)
		}
	}
}
