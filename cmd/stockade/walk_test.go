package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// walked is what a verb can answer, and where that is seen. Codes 0, 1 and 2 are seen by the scripts in
// testdata, 3 and 4 by running ask without a daemon and as a user who may nothing.
type walked struct {
	codes string // the exit codes that it can give
	ask   string // the verb with arguments with which it asks the daemon; "": it asks none
	// closed are arguments with which a plain user gets 4 from a verb that asks no daemon; %DIR% is a
	// folder closed to others, with the readable file %OPEN% beside it.
	closed string
	other  map[byte]string // codes that a test elsewhere sees: its file and name
	silent string          // codes with which it prints nothing, so no JSON either, beside 2, 3 and 4
}

// verbs are all verbs of the command tree. One that is missing fails the walk.
var verbs = map[string]walked{
	"serve":           {codes: "0124", other: map[byte]string{'4': "user_test.go TestBackendWithoutCapability"}},
	"check":           {codes: "012"},
	"status":          {codes: "01234", ask: "status"},
	"jails":           {codes: "0234", ask: "jails"},
	"sources":         {codes: "0234", ask: "sources"},
	"sources release": {codes: "01234", ask: "sources release here", silent: "1"},
	"bans":            {codes: "0234", ask: "bans"},
	"explain":         {codes: "01234", ask: "explain 192.0.2.7"},
	"ban":             {codes: "01234", ask: "ban 192.0.2.7", silent: "1"},
	"unban":           {codes: "01234", ask: "unban --all", silent: "1"},
	"approve":         {codes: "0234", ask: "approve --source here"},
	"reload":          {codes: "01234", ask: "reload", silent: "1"},
	"ping":            {codes: "0234", ask: "ping"},
	"version":         {codes: "02"},
	"regex":           {codes: "0124", closed: "regex %DIR%/closed.log sshd"},
	"filters":         {codes: "02"},
	"filters test":    {codes: "012"},
	"pki init":        {codes: "0124", closed: "pki init --dir %DIR%/tls --san a.lan", silent: "1"},
	"pki issue":       {codes: "0124", closed: "pki issue a.lan --dir %DIR%/tls", silent: "1"},
	"pki list":        {codes: "024", closed: "pki list --dir %DIR%/tls"},
	"pki fingerprint": {codes: "024", closed: "pki fingerprint %DIR%/a.pem"},
	"pki bundle":      {codes: "024", closed: "pki bundle a.lan --dir %DIR%/tls"},
	"replay":          {codes: "024", closed: "replay %DIR%/closed.log --config %OPEN%"},
	"doctor":          {codes: "01234", ask: "doctor"},
	"notify test":     {codes: "01234", ask: "notify test good", silent: "1"},
	"firewall show":   {codes: "024", closed: "firewall show --config %OPEN%"},
	"firewall verify": {codes: "0124", closed: "firewall verify --config %OPEN%"},
	"firewall remove": {codes: "0124", closed: "firewall remove --config %OPEN%",
		other: map[byte]string{'1': "doctor/explain_test.go TestAnswersOfARunningDaemon"}},
	"shadow":          {codes: "01234", ask: "shadow", silent: "1"},
	"promote":         {codes: "01234", ask: "promote app", silent: "1"},
	"canary":          {codes: "01234", ask: "canary"},
	"log":             {codes: "0234", ask: "log"},
	"config show":     {codes: "02"},
	"config schema":   {codes: "02"},
	"client":          {codes: "01234", ask: "client status"}, // no JSON: it prints what fail2ban-client prints
	"top":             {codes: "0234", ask: "top"},
	"import fail2ban": {codes: "0124", closed: "import fail2ban %DIR%/fail2ban --config %OPEN%"},
	"compare":         {codes: "0124", closed: "compare %DIR%/closed.log --config %OPEN%"},
	"man":             {codes: "02"},
	"completion bash": {codes: "02"}, "completion fish": {codes: "02"}, "completion powershell": {codes: "02"}, "completion zsh": {codes: "02"},
	"help": {codes: "0"},
}

// scriptLine finds the runs of a verb in a script, with the exit code that is demanded.
var scriptLine = regexp.MustCompile(`(?m)^\s*(?:(code|terminal) (\d+) |exec |await )?(?:.*?[ ;'])??stockade (.*)$`)

// scripted is one run of the command in a script.
type scripted struct {
	code byte
	args string
	json bool
	live bool // against a daemon of its own, not the fake one
}

func readScripts(t *testing.T) (lines []scripted) {
	t.Helper()
	for _, dir := range []string{"script", "live"} {
		files, err := filepath.Glob("testdata/" + dir + "/*.txtar")
		if err != nil || len(files) < 4 {
			t.Fatalf("scripts in %s: %v, %v", dir, files, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			script, _, _ := strings.Cut(string(text), "\n-- ")
			for _, m := range scriptLine.FindAllStringSubmatch(script, -1) {
				code := byte('0')
				if len(m[2]) > 1 {
					continue // a signal's
				}
				if m[2] != "" {
					code = m[2][0]
				}
				lines = append(lines, scripted{code, " " + m[3] + " ", strings.Contains(m[3]+" ", " --json "), dir == "live"})
			}
		}
	}
	return lines
}

// TestScriptsWalkEveryVerb holds the tests to the command tree: every verb is in the table above, and each
// exit code that it can give is seen somewhere, where it prints an answer both as text and as JSON.
func TestScriptsWalkEveryVerb(t *testing.T) {
	lines := readScripts(t)
	seen := map[string]bool{}
	var walk func(c *cobra.Command, path string)
	walk = func(c *cobra.Command, path string) {
		for _, sub := range c.Commands() {
			at := strings.TrimSpace(path + " " + sub.Name())
			walk(sub, at)
			w, known := verbs[at]
			if sub.HasSubCommands() && !known {
				continue // alone it is a wrong usage
			}
			if !known {
				t.Errorf("verb %q is in no table: say in walk_test.go what it can answer", at)
				continue
			}
			seen[at] = true
			w.check(t, at, sub, lines)
		}
	}
	root := (&app{}).root()
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	walk(root, "")
	for at := range verbs {
		if !seen[at] {
			t.Errorf("there is no verb %q", at)
		}
	}
}

func (w walked) check(t *testing.T, at string, c *cobra.Command, lines []scripted) {
	t.Helper()
	runs, live := map[scripted]bool{}, map[bool]bool{}
	for _, l := range lines {
		if !strings.Contains(l.args, " "+at+" ") || slices.ContainsFunc(c.Commands(), func(sub *cobra.Command) bool {
			return strings.Contains(l.args, " "+at+" "+sub.Name()+" ")
		}) {
			continue
		}
		runs[scripted{code: l.code, json: l.json}] = true
		if l.live && l.code < '2' {
			live[l.json] = true
		}
	}
	hasJSON := c.Flags().Lookup("json") != nil
	if w.ask != "" && (!live[false] || hasJSON && !live[true]) {
		t.Errorf("no script in testdata/live runs %q as text and JSON", at)
	}
	for i := range len(w.codes) {
		code := w.codes[i]
		if test, elsewhere := w.other[code]; elsewhere {
			file, name, _ := strings.Cut(test, " ")
			if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text, []byte("func "+name+"(")) {
				t.Errorf("%s: %s is to see exit code %c: %v", at, test, code, err)
			}
			continue
		}
		switch {
		case code == '3' && w.ask != "" || code == '4' && w.ask+w.closed != "":
			continue // seen by the two tests below
		case !runs[scripted{code: code}] && !runs[scripted{code: code, json: true}]:
			t.Errorf("no script sees %q exit with %c", at, code)
		}
		if code > '1' || strings.IndexByte(w.silent, code) >= 0 || !hasJSON {
			continue
		}
		for _, asJSON := range []bool{false, true} {
			if !runs[scripted{code: code, json: asJSON}] {
				t.Errorf("no script sees %q exit with %c; as JSON: %t", at, code, asJSON)
			}
		}
	}
	for run := range runs {
		if strings.IndexByte(w.codes, run.code) < 0 && run.code != '3' {
			t.Errorf("a script sees %q exit with %c, which the table does not have", at, run.code)
		}
	}
}

// asking are the runs of all verbs that ask the daemon, as text and, where they can, as JSON.
func asking() (list []string) {
	for at, w := range verbs {
		if w.ask == "" {
			continue
		}
		list = append(list, w.ask)
		if at != "client" {
			list = append(list, w.ask+" --json")
		}
	}
	slices.Sort(list)
	return list
}

// TestVerbsWithoutADaemon demands one clear line and exit code 3 within a second, whether there is no
// socket, or a daemon that died left one behind.
func TestVerbsWithoutADaemon(t *testing.T) {
	dir, err := os.MkdirTemp("", "stk") // short: a socket path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	dead := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	_, slave := openPTY(t)
	var worst time.Duration
	runs := 0
	for socket, cause := range map[string]string{dead: "connection refused", filepath.Join(dir, "none"): "no such file or directory"} {
		for _, args := range asking() {
			var out, errs bytes.Buffer
			begin := time.Now()
			var code int
			all := append([]string{"--socket", socket}, strings.Fields(args)...)
			if args == "top" {
				code = run(all, slave, slave, &errs)
			} else {
				code = run(all, strings.NewReader(""), &out, &errs)
			}
			took := time.Since(begin)
			worst = max(worst, took)
			runs++
			if want := "stockade: no daemon at " + socket + ": " + cause + "\n"; code != exitUnreachable || out.Len() > 0 || errs.String() != want {
				t.Errorf("%s: exit code %d, %q, %q; want %q", args, code, out.String(), errs.String(), want)
			}
			if took > 5*time.Second {
				t.Errorf("%s: %s until it said so", args, took)
			}
		}
	}
	t.Logf("%d runs: the slowest took %s", runs, worst)
}
