package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

var begin = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// fake is a daemon with the jails of the recorded session.
type fake struct {
	bans  []control.Ban
	total map[string]int64
	clock time.Time
	err   error // of everything
	log   control.LogState
}

func newFake() *fake { return &fake{total: map[string]int64{}, clock: begin} }

func (f *fake) Ping(context.Context) error { return f.err }

func (f *fake) Version(context.Context) (control.Version, error) {
	return control.Version{Version: "v0.1.0"}, f.err
}

func (f *fake) Status(context.Context) (control.Status, error) {
	s := control.Status{Backend: "nftables"}
	for _, n := range []string{"web", "sshd"} {
		r, _ := f.JailReport(context.Background(), n)
		s.Jails = append(s.Jails, r.JailStatus)
	}
	return s, f.err
}

func (f *fake) JailReport(_ context.Context, jail string) (control.JailReport, error) {
	r := control.JailReport{JailStatus: control.JailStatus{Name: jail, BannedTotal: f.total[jail]}, Sources: []string{"/var/log/auth.log"}}
	for _, b := range f.bans {
		if b.Jail == jail {
			r.BannedCurrent++
			r.Banned = append(r.Banned, b.Address)
		}
	}
	return r, f.err
}

func (f *fake) Jails(context.Context) (control.List[control.Jail], error) {
	return control.List[control.Jail]{
		{Name: "sshd", MaxRetry: 5, FindTime: 600, BanTime: 600}, {Name: "web", MaxRetry: 3, FindTime: 600, BanTime: -1},
	}, f.err
}

func (f *fake) Bans(_ context.Context, jail string) (control.List[control.Ban], error) {
	return slices.DeleteFunc(slices.Clone(f.bans), func(b control.Ban) bool { return jail != "" && b.Jail != jail }), f.err
}

func (f *fake) Ban(_ context.Context, r control.BanRequest) (control.BanResult, error) {
	f.clock = f.clock.Add(time.Second)
	b := control.Ban{Jail: r.Jail, Address: r.Address.Counted(64), Start: f.clock}
	if r.Jail == "sshd" {
		b.End = control.Moment(f.clock.Add(10 * time.Minute))
	}
	f.bans = append(f.bans, b)
	f.total[r.Jail]++
	return control.BanResult{Ban: b, Changed: true}, f.err
}

func (f *fake) Unban(_ context.Context, r control.UnbanRequest) (control.UnbanResult, error) {
	before := len(f.bans)
	f.bans = slices.DeleteFunc(f.bans, func(b control.Ban) bool {
		return (r.Jail == "" || b.Jail == r.Jail) && (r.All || b.Address == r.Address.Counted(64))
	})
	if before == len(f.bans) && f.err == nil {
		return control.UnbanResult{}, &control.Error{Code: control.CodeNotFound, Message: "nothing to unban"}
	}
	return control.UnbanResult{Unbanned: int64(before - len(f.bans))}, f.err
}

func (f *fake) Reload(context.Context, control.ReloadRequest) (control.ReloadResult, error) {
	return control.ReloadResult{}, f.err
}

func (f *fake) Log(context.Context) (control.LogState, error) {
	return control.LogState{Level: cmp.Or(f.log.Level, "info"), Format: "json", Target: cmp.Or(f.log.Target, "stderr")}, f.err
}

func (f *fake) SetLog(ctx context.Context, r control.LogRequest) (control.LogState, error) {
	f.log.Level, f.log.Target = cmp.Or(r.Level, f.log.Level), cmp.Or(r.Target, f.log.Target)
	return f.Log(ctx)
}

const configText = `
jails:
  - {name: sshd, filter: sshd, bantime: 10m}
  - {name: web, filter: {failregex: ['^<HOST> it''s \d$']}, maxretry: 3, bantime: -1, ignoreip: [192.0.2.0/24, 198.51.100.7]}
`

// ask answers a command line and returns what was printed, with the exit code.
func ask(t *testing.T, f *fake, problems []string, args ...string) (out, errs string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stockade.yaml")
	if err := os.WriteFile(file, []byte(configText), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	err := Run(t.Context(), Options{
		Out: &stdout, Err: &stderr, Version: "v0.1.0",
		Dial: func(context.Context, string, string) (Daemon, func(), error) { return f, func() {}, nil },
		Load: func(string) (*config.Config, error) {
			l, err := config.Load(config.Options{File: file, Root: true})
			return l.Config, err
		},
		Check: func(string) []string { return problems },
	}, args)
	var refused *Refusal
	var usage *UsageError
	switch {
	case err == nil:
	case errors.As(err, &refused):
		code = 2
	case errors.As(err, &usage):
		code = 2
		fmt.Fprintln(&stderr, err)
	default:
		code = 1
		fmt.Fprintln(&stderr, err)
	}
	return stdout.String(), stderr.String(), code
}

var date = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

// TestSessionIsTheOneOfFail2ban replays a recorded session, command by command.
func TestSessionIsTheOneOfFail2ban(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "fail2ban-1.0.2.txt"))
	if err != nil {
		t.Fatal(err)
	}
	_, session, _ := strings.Cut(string(text), "\n$ ")
	f := newFake()
	n := 0
	for part := range strings.SplitSeq(session, "\n$ ") {
		command, want, _ := strings.Cut(strings.TrimSuffix(part, "\n")+"\n", "\n")
		out, _, code := ask(t, f, nil, strings.Fields(command)...)
		got := date.ReplaceAllString(out, "DATE") + fmt.Sprintf("exit %d\n", code)
		if got != want {
			t.Errorf("$ %s\ngot:\n%swant:\n%s", command, got, want)
		}
		n++
	}
	if n < 50 {
		t.Errorf("%d commands in the recorded session, want at least 50", n)
	}
}

func TestWhatIsNotSupportedNamesTheNativeWay(t *testing.T) {
	for command, want := range map[string]string{
		"restart":                      "systemctl restart stockade",
		"stop":                         "systemctl stop stockade",
		"add x polling":                "under jails:",
		"set sshd addignoreip 1.2.3.4": "write ignoreip",
		"set sshd delignoreip 1.2.3.4": "write ignoreip",
		"set sshd bantime 600":         "write bantime",
		"set sshd addlogpath /x":       "change the jail",
		"get dbfile":                   "state_dir",
		"get sshd failregex":           "stockade config show",
		"reload --unban":               "stockade unban --all",
		"set sshd banip nonsense":      "not an IPv4 or IPv6 address",
		"banned nonsense":              "not an IPv4 or IPv6 address",
		"--nonsense":                   "unknown option",
		"-c /etc/other ping":           "--config FILE",
		"--str2sec":                    "needs a value",
		"":                             "no command given",
	} {
		_, errs, code := ask(t, newFake(), nil, strings.Fields(command)...)
		if code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d, %q: want 2 and %q", command, code, errs, want)
		}
	}
}

func TestOwnAnswers(t *testing.T) {
	f := newFake()
	if out, _, code := ask(t, f, nil, "set", "sshd", "banip", "2001:db8::5"); out != "1\n" || code != 0 {
		t.Fatalf("banip: %q, exit %d", out, code)
	}
	for command, want := range map[string]string{
		"version":                            "v0.1.0\n",
		"-V":                                 "v0.1.0\n",
		"--version":                          "Stockade v0.1.0\n",
		"flushlogs":                          "logs: flushed\n",
		"get sshd usedns":                    "no\n",
		"get sshd actions":                   "The jail sshd has the following actions:\nnftables\n",
		"banned 2001:db8::6":                 "[['sshd']]\n", // an IPv6 ban is one of the /64
		"set sshd banip 2001:db8::":          "0\n",
		"-c /etc/fail2ban -v get sshd banip": "2001:db8::/64\n",
		"stats": "Jail     ║ Backend  ║ Filter    ║ Actions  \n" +
			"         ║          ║ cur │ tot ║ cur │ tot\n" +
			"═════════╬══════════╬═════╪═════╬═════╪════\n" +
			"sshd     ║ nftables ║   0 │   0 ║   1 │   1\n" +
			"web      ║ nftables ║   0 │   0 ║   0 │   0\n",
		"-d": "['set', 'loglevel', 'INFO']\n" +
			"['add', 'sshd', 'auto']\n['set', 'sshd', 'maxretry', 5]\n['set', 'sshd', 'findtime', '600']\n['set', 'sshd', 'bantime', '600']\n" +
			"['add', 'web', 'auto']\n['set', 'web', 'addfailregex', '^<HOST> it\\'s \\\\d$']\n['set', 'web', 'maxretry', 3]\n" +
			"['set', 'web', 'findtime', '600']\n['set', 'web', 'bantime', '-1']\n['set', 'web', 'addignoreip', '192.0.2.0/24']\n" +
			"['set', 'web', 'addignoreip', '198.51.100.7']\n['start', 'sshd']\n['start', 'web']\n",
	} {
		if out, errs, code := ask(t, f, nil, strings.Fields(command)...); out != want || code != 0 {
			t.Errorf("%q: exit %d, got:\n%s%swant:\n%s", command, code, out, errs, want)
		}
	}
	out, _, code := ask(t, f, nil, "status", "--all")
	if code != 0 || strings.Count(out, "Status for the jail: ") != 2 || !strings.Contains(out, "   `- Banned IP list:\t2001:db8::/64\n") {
		t.Errorf("status --all: exit %d\n%s", code, out)
	}
	if out, errs, code := ask(t, f, []string{"a.yaml:1:2: wrong"}, "-t"); code != 2 || out != "ERROR: test configuration failed\n" || errs != "a.yaml:1:2: wrong\n" {
		t.Errorf("-t: exit %d, %q, %q", code, out, errs)
	}
	if out, _, code := ask(t, f, nil, "--help"); code != 0 || !strings.Contains(out, "--report-absent") {
		t.Errorf("--help: exit %d\n%s", code, out)
	}
}

func TestErrorsOfTheDaemonPassThrough(t *testing.T) {
	f := newFake()
	f.err = &control.Error{Code: control.CodeNotPermitted, Message: "no"}
	for _, command := range []string{
		"ping", "version", "status", "status sshd", "status --all", "stats", "banned", "unban --all", "unban 192.0.2.1", "reload",
		"get sshd bantime", "get sshd banip", "set sshd banip 192.0.2.1", "set sshd unbanip 192.0.2.1",
	} {
		if _, errs, code := ask(t, f, nil, strings.Fields(command)...); code != 1 || errs != "no\n" {
			t.Errorf("%q: exit %d, %q: want the daemon's error", command, code, errs)
		}
	}
}
