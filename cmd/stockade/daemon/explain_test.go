package daemon

import (
	"fmt"
	"strings"
	"testing"

	"stockade/cmd/stockade/control"
)

func (s *served) explain(address string) control.Explain {
	s.t.Helper()
	e, err := s.Explain(s.t.Context(), target(s.t, address))
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// TestExplainWhyNot asks for addresses that do not get banned, several refused within one second.
func TestExplainWhyNot(t *testing.T) {
	s := serve(t, `listeners: [{name: in, transport: unix, path: %DIR%/in.sock}, {name: shut, transport: unix, path: %DIR%/shut.sock}]
sources:
  - {name: here, listener: in, hostnames: [host], jails: ["*"], quota: {bans_per_minute: 1, burst: 1}}
  - {name: nobody, listener: shut, uid: [4294967294], jails: ["*"]}
jails:
  - {name: app, filter: {failregex: ['^failed login from <HOST>$']}, apps: [app], maxretry: 2, ignoreip: [198.18.7.0/24]}
`)
	conn := s.connect()
	for i := range 5 {
		fmt.Fprintf(conn, "<38>Nov 24 10:00:00 other app: failed login from 198.18.1.%d\n", i)
	}
	eventually(t, "five lines are refused", func() bool { return s.source().Refused["hostname_not_granted"] == 5 })
	for i := range 5 {
		e := s.explain(fmt.Sprintf("198.18.1.%d", i))
		if len(e.Refused) != 1 || e.Refused[0].Source != "here" || e.Refused[0].Count != 5 || e.Refused[0].Remedy == "" ||
			!strings.HasSuffix(e.Refused[0].Sample, fmt.Sprintf(" from 198.18.1.%d", i)) || !strings.Contains(e.Verdict, "hostname_not_granted") {
			t.Errorf("198.18.1.%d: %+v", i, e)
		}
	}
	s.failures(conn, "198.18.0.1", 2)
	s.failures(conn, "198.18.0.2", 2)
	e := s.explain("198.18.0.2")
	if len(e.Waiting) != 1 || e.Waiting[0].Jail != "app" || e.Waiting[0].Source != "here" || e.Waiting[0].Failures != 2 ||
		!strings.Contains(e.Verdict, "stockade approve --source here") {
		t.Errorf("a ban that waits: %+v", e)
	}
	if e := s.explain("198.18.7.7"); len(e.Ignored) != 1 || !strings.Contains(e.Verdict, "jail app ignores it (ignoreip: 198.18.7.0/24)") {
		t.Errorf("an ignored address: %+v", e)
	}
	if e := s.explain("198.18.0.1"); !e.Banned || len(e.Waiting) != 0 || len(e.Evidence) != 2 {
		t.Errorf("a banned address: %+v", e)
	}
}
