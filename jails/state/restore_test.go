package state

import (
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// Restoring many bans is quick and ends with every one of them.
func TestRestoreOfManyBans(t *testing.T) {
	bans := size(2000, 20000, 1000000)
	dir := t.TempDir()
	s := testStore(t, Options{Dir: dir})
	end := time.Now().Add(24 * time.Hour)
	began := time.Now()
	for n := range uint32(bans) {
		s.Ban(Ban{Jail: "sshd", Prefix: addr4(n * 2654435761), End: end, Scope: "22", Reason: "5 failures within 10m0s", Source: "web1", Trust: "tls",
			Evidence: []Evidence{{Time: end, Received: end, Source: "web1", Trust: "tls", Raw: "Failed password for root from 192.0.2.7 port 4711 ssh2"}}})
	}
	s.flush()
	made := time.Since(began)
	began = time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	saved := time.Since(began)
	runtime.GC()
	r := testStore(t, Options{Dir: dir})
	if n := r.Recovery().Bans; n != bans {
		t.Fatalf("%d bans, want %d", n, bans)
	}
	took := r.Recovery().Took
	n := 0
	began = time.Now()
	r.AllEffective(func(_ netip.Prefix, all []Effective) bool { n += len(all); return true })
	if n != bans {
		t.Errorf("%d elements, want %d", n, bans)
	}
	t.Logf("%d bans: made in %s, saved in %s, restored in %s, listed in %s, %d bytes of heap for both stores", bans, made, saved, took, time.Since(began), heap())
	if took > 3*made {
		t.Errorf("restored in %s, made in %s", took, made)
	}
	runtime.KeepAlive(s)
}
