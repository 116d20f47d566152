package daemon

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
)

// try reloads with a time for the confirmation that may be shorter than operators can ask for.
func (s *served) try(confirm time.Duration) control.ReloadResult {
	s.t.Helper()
	next, err := s.d.Reload(s.t.Context(), control.ReloadRequest{Confirm: control.SecondsOf(confirm)})
	if err != nil {
		s.t.Fatal(err)
	}
	return next
}

func (s *served) maxRetry() int64 {
	s.t.Helper()
	jails, err := s.Jails(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return jails[0].MaxRetry
}

func TestUnconfirmedConfigurationGoesBack(t *testing.T) {
	s := serve(t, configText(3, true))
	conn := s.connect()
	s.failures(conn, "198.18.0.1", 3) // banned by the good configuration
	s.failures(conn, "198.18.0.2", 1)
	s.write(configText(1, true, "  - {name: other, filter: {failregex: ['^nothing <HOST>$']}}"))
	r := s.try(time.Hour)
	if r.ConfirmUntil == nil || s.maxRetry() != 1 {
		t.Fatalf("reload = %+v, maxretry %d", r, s.maxRetry())
	}
	st, err := s.Status(t.Context())
	if err != nil || st.Pending == nil || !st.Pending.Until.Equal(*r.ConfirmUntil) || st.State != control.StateOK {
		t.Fatalf("status = %+v, %v", st, err)
	}
	s.failures(conn, "198.18.0.3", 1) // banned by the configuration on trial: the operator, perhaps
	s.failures(conn, "198.18.0.2", 1)
	if _, err := s.Ban(t.Context(), control.BanRequest{Address: target(t, "198.18.0.9"), Jail: "app"}); err != nil {
		t.Fatal(err)
	}
	if got := s.banned(""); got != "198.18.0.1 198.18.0.2 198.18.0.3 198.18.0.9" {
		t.Fatalf("banned on trial: %s", got)
	}
	s.try(time.Second) // another one: the way back is still to the first
	eventually(t, "the configuration goes back", func() bool { return strings.Contains(s.log.String(), "is in force again") })
	if s.maxRetry() != 3 {
		t.Errorf("maxretry %d, want 3", s.maxRetry())
	}
	if got := s.banned(""); got != "198.18.0.1 198.18.0.9" {
		t.Errorf("banned after the way back: %s; want what the good configuration and the operator banned", got)
	}
	st, err = s.Status(t.Context())
	if err != nil || st.Pending != nil || len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "was not confirmed in time") {
		t.Errorf("status = %+v, %v", st, err)
	}
	var refused *control.Error
	if _, err := s.Reload(t.Context(), control.ReloadRequest{Keep: true}); !errors.As(err, &refused) || refused.Code != control.CodeNotFound ||
		!strings.Contains(refused.Message, "was not confirmed in time") {
		t.Errorf("a late confirmation: %v", err)
	}
	s.failures(conn, "198.18.0.4", 3) // the connection and the counting live on
	if got := s.banned("app"); !strings.Contains(got, "198.18.0.4") {
		t.Errorf("banned: %s", got)
	}
	s.try(0)
	if st, err = s.Status(t.Context()); err != nil || len(st.Notes) != 0 {
		t.Errorf("the next reload keeps the note: %+v, %v", st, err)
	}
}

func TestConfirmedConfigurationStays(t *testing.T) {
	s := serve(t, configText(3, true))
	s.write(configText(2, true))
	s.try(time.Minute)
	// A signal reads the files again and confirms nothing.
	s.write(configText(4, true))
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the signal's reload is in force", func() bool { return s.maxRetry() == 4 })
	if st, err := s.Status(t.Context()); err != nil || st.Pending == nil {
		t.Fatalf("status = %+v, %v: a signal must not confirm", st, err)
	}
	if _, err := s.Reload(t.Context(), control.ReloadRequest{Keep: true}); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Status(t.Context()); err != nil || st.Pending != nil || s.maxRetry() != 4 {
		t.Errorf("status = %+v, %v, maxretry %d", st, err, s.maxRetry())
	}
	if left, waits := s.d.trial.wait(time.Now()); waits {
		t.Errorf("something waits for %s more", left)
	}
}

// TestBadConfigurationOnTrial: one that is refused neither ends a trial nor begins one.
func TestBadConfigurationOnTrial(t *testing.T) {
	s := serve(t, configText(3, true))
	s.write(configText(0, true))
	if _, err := s.Reload(t.Context(), control.ReloadRequest{Confirm: 60}); err == nil {
		t.Fatal("a bad configuration is in force")
	}
	if st, err := s.Status(t.Context()); err != nil || st.Pending != nil {
		t.Fatalf("status = %+v, %v", st, err)
	}
	s.write(configText(2, true))
	if _, err := s.Reload(t.Context(), control.ReloadRequest{Confirm: 60}); err != nil {
		t.Fatal(err)
	}
	s.write("jails: nonsense")
	if _, err := s.Reload(t.Context(), control.ReloadRequest{}); err == nil {
		t.Fatal("a bad configuration is in force")
	}
	if st, err := s.Status(t.Context()); err != nil || st.Pending == nil {
		t.Fatalf("status = %+v, %v: a bad one ended the trial", st, err)
	}
}

func target(t testing.TB, address string) control.Target {
	t.Helper()
	x, err := control.ParseTarget(address)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
