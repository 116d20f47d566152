package daemon

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"stockade/cmd/stockade/control"
)

func TestShadowJailIsPromoted(t *testing.T) {
	// sshd is there for its successes: a login of an address is known to every jail.
	s := serve(t, configText(2, false, sshd("sshd", ", enforce: false")))
	conn := s.connect()
	for _, a := range []string{"198.18.0.1", "198.18.0.2", "198.18.0.3", "10.9.8.7", "104.16.1.1"} {
		s.failures(conn, a, 2)
	}
	lines := s.source().Lines
	fmt.Fprintln(conn, "<38>Nov 24 10:00:00 host sshd[1]: Accepted password for alice from 198.18.0.2 port 50000 ssh2")
	eventually(t, "the login is seen", func() bool {
		return s.source().Lines == lines+1 && s.d.pipeline.Stats().Successes.Load() == 1
	})
	list, err := s.Shadow(t.Context(), "app")
	if err != nil || len(list) != 1 {
		t.Fatalf("shadow: %+v, %v", list, err)
	}
	x := list[0]
	if len(x.Bans) != 5 || x.LoggedIn != 1 || x.Proxies != 2 || x.Total != 5 || string(x.Config) != s.config ||
		len(x.Sources) != 1 || x.Sources[0] != (control.ShadowFrom{Source: "here", Bans: 5}) {
		t.Errorf("shadow: %+v", x)
	}
	for _, b := range x.Bans {
		proxy := b.Address.Addr().String() == "10.9.8.7" || b.Address.Addr().String() == "104.16.1.1"
		if login := b.Address.Addr().String() == "198.18.0.2"; (b.LoggedIn != nil) != login || (b.Proxy != "") != proxy {
			t.Errorf("shadow ban: %+v", b)
		}
	}
	if all, err := s.Shadow(t.Context(), ""); err != nil || len(all) != 2 || all[1].Jail != "sshd" {
		t.Errorf("all shadow jails: %+v, %v", all, err)
	}

	// The jail enforces: what it recorded holds, save for those that would hit somebody else.
	s.write(configText(2, true))
	r, err := s.Reload(t.Context(), control.ReloadRequest{})
	if err != nil || len(r.Promoted) != 1 || r.Promoted[0] != (control.Promotion{Jail: "app", Began: 2, Spared: 3}) {
		t.Fatalf("reload: %+v, %v", r, err)
	}
	if got := s.banned("app"); got != "198.18.0.1 198.18.0.3" {
		t.Errorf("banned: %s", got)
	}
	for _, b := range s.d.store.Bans("app") {
		if b.Shadow {
			t.Errorf("still only recorded: %+v", b)
		}
	}
	var refused *control.Error
	if _, err := s.Shadow(t.Context(), "app"); !errors.As(err, &refused) || refused.Code != control.CodeRefused {
		t.Errorf("shadow of a jail that enforces: %v", err)
	}
	if r, err = s.Reload(t.Context(), control.ReloadRequest{}); err != nil || len(r.Promoted) != 0 {
		t.Errorf("a second reload promotes again: %+v, %v", r, err)
	}
}

func TestJailPromotedWhileStopped(t *testing.T) {
	s := serve(t, configText(2, false))
	s.failures(s.connect(), "198.18.0.1", 2)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.write(configText(2, true))
	s.start()
	eventually(t, "the recorded ban holds", func() bool {
		bans := s.d.store.Bans("app")
		return len(bans) == 1 && !bans[0].Shadow
	})
	if !strings.Contains(s.log.String(), `"msg":"the jail enforces now"`) {
		t.Error("the log does not tell the promotion")
	}
}
