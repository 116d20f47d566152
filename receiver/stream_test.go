package receiver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/receiver/receivertest"
)

func TestTCPDeliversBothFramings(t *testing.T) {
	r := start(t, loopback("tcp"), local, nil)
	c := r.dial()
	r.send(c, "<38>Nov 24 06:00:00 web1 sshd[7]: one\n<38>Nov 24 06:00:00 web1 sshd[7]: two\n")
	got := r.lines(2)
	if got[0].text != "one" || got[1].text != "two" {
		t.Fatalf("LF framing: got %+v", got)
	}
	p := got[0].peer
	if p.Level != LevelAddress || p.Addr != netip.MustParseAddrPort(c.LocalAddr().String()) || p.UID != -1 {
		t.Fatalf("peer %+v", p)
	}
	c = r.dial()
	r.send(c, "10 <38>a: thr10 <38>a: fou")
	got = r.lines(4)
	if got[2].text != "thr" || got[3].text != "fou" {
		t.Fatalf("octet counting: got %+v", got)
	}
}

func TestUnknownTCPPeerIsRefusedUnread(t *testing.T) {
	r := start(t, loopback("tcp"), []SourceConfig{{Name: "lan", Addresses: []string{"192.0.2.0/24"}}}, nil)
	for range 3 {
		c := r.dial()
		_, _ = c.Write([]byte("<38>sshd[7]: no\n"))
		if !closedSoon(c, 20*time.Second) {
			t.Fatal("the connection stays open")
		}
	}
	s := r.Stats()
	if r.refusals(ReasonUnknownPeer) != 3 || entries(s) != 0 || s.Bytes != 0 || s.Open != 0 || s.Accepted != 3 {
		t.Fatalf("stats %+v", s)
	}
	if n := strings.Count(r.log.String(), "refused"); n != 1 {
		t.Fatalf("%d log lines, want 1:\n%s", n, r.log)
	}
}

func TestBrokenFramingClosesOneConnectionOnly(t *testing.T) {
	r := start(t, loopback("tcp"), local, nil)
	good := r.dial()
	r.send(good, "<38>sshd[7]: before\n")
	r.lines(1)
	for i, bad := range []string{"-5 x", "007 abcdefg", strings.Repeat("9", 2000), "12x"} {
		cfg := "0" + bad // the first octet latches octet counting
		if i > 1 {
			cfg = bad
		}
		c := r.dial()
		_, _ = c.Write([]byte(cfg))
		if !closedSoon(c, 20*time.Second) {
			t.Fatalf("%q: the connection stays open", bad)
		}
	}
	r.wait("refusals", func() bool { return r.refusals(ReasonFraming) == 4 })
	r.send(good, "<38>sshd[7]: after\n")
	r.lines(2)
}

func TestMistakesOnAPlainPortAreNamed(t *testing.T) {
	for _, tt := range []struct{ name, bytes, reason string }{
		{"a TLS client", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ReasonTLS},
		{"an HTTP client", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", ReasonHTTP},
		{"a proxy that is not listed", "PROXY TCP4 192.0.2.7 192.0.2.1 1 601\r\n<38>sshd: x\n", ReasonProxyHeader},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, loopback("tcp"), local, nil)
			for range 3 {
				c := r.dial()
				_, _ = c.Write([]byte(tt.bytes))
				if !closedSoon(c, 20*time.Second) {
					t.Fatal("the connection stays open")
				}
			}
			r.wait("refusals", func() bool { return r.refusals(tt.reason) == 3 })
			log := r.log.String()
			if strings.Count(log, "refused") != 1 || !strings.Contains(log, "peer=127.0.0.1:") {
				t.Fatalf("want one line with the peer:\n%s", log)
			}
			if r.rec.count() != 0 {
				t.Fatalf("%d lines were taken", r.rec.count())
			}
		})
	}
}

func TestPartialFrameIsClosedAndIdleEdgeIsKept(t *testing.T) { // bar A3
	limit := 300 * time.Millisecond
	if *long {
		limit = 60 * time.Second
	}
	r := start(t, loopback("tcp"), local, func(l *Listener) { l.limits.partial = limit })
	idle := r.dial()
	r.send(idle, "<38>sshd: whole\n")
	for _, half := range []string{"<38>sshd: half", "50 <38>sshd: half", "5"} {
		c := r.dial()
		r.send(c, half)
		began := time.Now()
		if !closedSoon(c, 2*limit+5*time.Second) {
			t.Fatalf("%q: the connection stays open", half)
		}
		took := time.Since(began)
		t.Logf("A3: %q closed after %s, limit %s", half, took.Round(time.Millisecond), limit)
		if took < limit-10*time.Millisecond {
			t.Fatalf("closed after %s, before the limit %s", took, limit)
		}
	}
	r.wait("refusals", func() bool { return r.refusals(ReasonPartial) == 3 })
	r.send(idle, "<38>sshd: still here\n")
	if got := r.lines(2); got[1].text != "still here" {
		t.Fatalf("got %+v", got)
	}
}

func TestDrippedFrameDoesNotExtendItsDeadline(t *testing.T) {
	r := start(t, loopback("tcp"), local, func(l *Listener) { l.limits.partial = 200 * time.Millisecond })
	c := r.dial()
	began := time.Now()
	for time.Since(began) < 10*time.Second {
		if _, err := c.Write([]byte("x")); err != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.wait("refusal", func() bool { return r.refusals(ReasonPartial) == 1 })
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("one frame was dripped for %s", took)
	}
}

func TestUnfinishedFrameIsCountedAndNotDelivered(t *testing.T) {
	r := start(t, loopback("tcp"), local, nil)
	c := r.dial()
	r.send(c, "30 <38>sshd: from 192.0.2.1")
	_ = c.Close()
	r.wait("refusal", func() bool { return r.refusals(ReasonPartial) == 1 })
	if r.rec.count() != 0 {
		t.Fatalf("an unfinished frame was delivered: %+v", r.rec.all())
	}
}

func TestConnectionLimits(t *testing.T) {
	cfg := loopback("tcp")
	cfg.MaxConnections = 8
	sources := []SourceConfig{
		{Name: "greedy", Addresses: []string{"127.0.0.1"}},
		{Name: "other", Addresses: []string{"127.0.0.2"}},
	}
	r := start(t, cfg, sources, nil)
	for range 50 { // bar A5: the share of one source
		c := r.dial()
		_, _ = c.Write([]byte("<38>sshd: greedy\n"))
	}
	r.wait("refusals", func() bool { return r.refusals(ReasonConnections) == 44 })
	// A refused connection is counted before it is closed, so the last of them may still be open.
	r.wait("the greedy source's share, 6 of 8", func() bool { return r.Stats().Open == 6 })
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := d.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r.send(c, "<38>sshd: other\n")
	r.wait("the other's line", func() bool {
		for _, l := range r.rec.all() {
			if l.source == "other" {
				return true
			}
		}
		return false
	})
	t.Logf("A5: 50 connections of one source, 6 kept, 44 refused; another source is served")
}

func TestReloadCutsWhatLostItsSourceAndNothingElse(t *testing.T) { // bar A8 on plain connections
	both := []SourceConfig{
		{Name: "stays", Listener: "l", Jails: []string{"*"}, Addresses: []string{"127.0.0.1"}},
		{Name: "goes", Listener: "l", Jails: []string{"*"}, Addresses: []string{"127.0.0.2"}},
	}
	r := start(t, loopback("tcp"), both, nil)
	stays := r.dial()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	goes, err := d.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer goes.Close()
	r.send(stays, "<38>a: 1\n")
	r.send(goes, "<38>a: 2\n")
	r.lines(2)

	renamed := both[0]
	renamed.Name = "renamed"
	next, err := NewSources([]SourceConfig{renamed}, r.registry.Load())
	if err != nil {
		t.Fatal(err)
	}
	r.registry.Swap(next)
	if !closedSoon(goes, 20*time.Second) {
		t.Fatal("a connection without source stays open")
	}
	r.wait("refusal", func() bool { return r.refusals(ReasonRemoved) == 1 })
	r.send(stays, "<38>a: 3\n")
	if got := r.lines(3)[2]; got.text != "3" || got.source != "renamed" {
		t.Fatalf("got %+v, want the new source", got)
	}
}

func TestShutdownTakesWhatHasArrived(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "unixgram", "unix"} {
		t.Run(transport, func(t *testing.T) {
			cfg := loopback(transport)
			sources := local
			if cfg.isUnix() {
				cfg = ListenerConfig{Transport: transport, Path: socketPath(t)}
				sources = []SourceConfig{{Name: "any"}}
			}
			r := start(t, cfg, sources, nil)
			c := r.dial()
			r.send(c, "<38>a: 0\n")
			r.lines(1)
			const n = 1000
			sent := 1
			for range n {
				_ = c.SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := fmt.Fprintf(c, "<38>a: %d\n", sent); err != nil {
					break
				}
				sent++
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if got := int64(r.rec.count()) + r.Stats().KernelDrops; got != int64(sent) {
				t.Fatalf("%d of %d lines were taken or counted as dropped", got, sent)
			}
		})
	}
}

func TestUnixStreamNamesTheWriterOfEachMessage(t *testing.T) {
	cfg := ListenerConfig{Transport: "unix", Path: socketPath(t)}
	r := start(t, cfg, []SourceConfig{{Name: "any"}}, nil)
	c := r.dial()
	r.send(c, "<38>sshd[7]: one\n<38>sshd[7]: two\n")
	for _, l := range r.lines(2) {
		if l.peer.Level != LevelKernel || l.peer.UID != int64(os.Getuid()) || l.peer.PID != int64(os.Getpid()) || !l.origin.Known {
			t.Fatalf("line %+v", l)
		}
	}
}

func TestSecondWriterInsideAFrameSpoilsIt(t *testing.T) {
	receivertest.Need(t, os.Getuid() == 0, "root, to send as another user")
	cfg := ListenerConfig{Transport: "unix", Path: socketPath(t)}
	r := start(t, cfg, []SourceConfig{{Name: "root", UID: []uint32{0}}, {Name: "any"}}, nil)
	c := r.dial().(*net.UnixConn)
	as := func(uid uint32, text string) {
		t.Helper()
		oob := unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid()), Uid: uid, Gid: 0}) //nolint:gosec // a pid fits
		if _, _, err := c.WriteMsgUnix([]byte(text), oob, nil); err != nil {
			t.Fatal(err)
		}
	}
	as(0, "<38>a: root's own\n<38>a: half of root's")
	as(1000, " and half of a user's\n<38>a: the user's own\n")
	as(0, "<38>a: root again\n")
	got := r.lines(3)
	want := []struct {
		text, source string
		uid          int64
	}{{"root's own", "root", 0}, {"the user's own", "any", 1000}, {"root again", "root", 0}}
	for i, w := range want {
		if got[i].text != w.text || got[i].source != w.source || got[i].peer.UID != w.uid {
			t.Errorf("line %d: %+v, want %+v", i, got[i], w)
		}
	}
	if n := r.refusals(ReasonMixed); n != 1 {
		t.Errorf("%d frames refused as mixed, want 1", n)
	}
}

func TestListenErrorsSayWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  ListenerConfig
		is   error
		says string
	}{
		{"an address of another host", ListenerConfig{Transport: "tcp", Address: "192.0.2.99:601"}, unix.EADDRNOTAVAIL, "no interface of this host"},
		{"a folder that does not exist", ListenerConfig{Transport: "unixgram", Path: "/nonexistent/s"}, os.ErrNotExist, "/nonexistent/s"},
		{"certificates that do not exist", ListenerConfig{Transport: "tls", Address: "127.0.0.1:0", Cert: "/nonexistent/c"}, os.ErrNotExist, "/nonexistent/c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Listen(Options{Config: tt.cfg, Registry: NewRegistry(nil), Open: new(recorder).open, Log: discardLog()})
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("error %v, want %v and %q", err, tt.is, tt.says)
			}
		})
	}
}
