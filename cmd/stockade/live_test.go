package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"stockade/cmd/stockade/e2e/rig"
)

// TestVerbsOfARunningDaemon walks the verbs against `stockade serve` itself. What changes from run to
// run is masked before it is compared.
func TestVerbsOfARunningDaemon(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "live"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			dir, err := os.MkdirTemp("", "stk") // short: a socket path has at most 107 bytes
			if err != nil {
				return err
			}
			env.Defer(func() { _ = os.RemoveAll(dir) })
			if env.Vars = append(env.Vars, "DIR="+dir, "UID="+strconv.Itoa(os.Geteuid()), "TZ=UTC", "GORACE=atexit_sleep_ms=0",
				"XDG_RUNTIME_DIR="+dir, "XDG_STATE_HOME="+dir); filepath.Base(env.WorkDir) == "script-kernel" {
				env.Setenv("NS", rig.NewNS(env.T().(testing.TB)))
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":     code,
			"await":    await,
			"write":    write,
			"say":      say,
			"until":    until,
			"mask":     mask,
			"terminal": onTerminal,
			"nonce":    nonce,
		},
	})
}

// write fills the names of the script's folder and user into a file: write FROM TO
func write(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: write from to")
	}
	text := strings.NewReplacer("$DIR", ts.Getenv("DIR"), "$UID", ts.Getenv("UID")).Replace(ts.ReadFile(args[0]))
	path := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, []byte(text), 0o600))
}

// say sends lines of an app to a datagram socket in the script's folder: say SOCKET APP LINE…
func say(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: say socket app line…")
	}
	c, err := net.Dial("unixgram", filepath.Join(ts.Getenv("DIR"), args[0]))
	ts.Check(err)
	defer func() { _ = c.Close() }()
	for _, line := range args[2:] {
		_, err := fmt.Fprintf(c, "<38>%s host %s[7]: %s", time.Now().Format(time.Stamp), args[1], line)
		ts.Check(err)
	}
}

// until repeats a command until what it prints matches: until PATTERN COMMAND [ARG…]
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until pattern command [arg…]")
	}
	pattern := regexp.MustCompile(args[0])
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_ = ts.Exec(args[1], args[2:]...) // the exit code is not what is waited for
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Since(begin) > 30*time.Second {
			ts.Fatalf("%s does not print %s", strings.Join(args[1:], " "), args[0])
		}
	}
}

var masks = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "YYYY-MM-DD HH:MM:SS"},
	{regexp.MustCompile(`[A-Z][a-z][a-z] [ 0-9]\d \d\d:\d\d:\d\d`), "STAMP"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?(ns|µs|ms|s) ago`), "JUST NOW"},
	{regexp.MustCompile(`in \d+h\d+m\d+s`), "IN TIME"},
	{regexp.MustCompile(`\bgo1\.\d+(\.\d+)?[-a-zA-Z0-9.]*`), "GO"},
	{regexp.MustCompile(`"latency":[0-9.e-]+`), `"latency":0`},
	{regexp.MustCompile(`\d+\.\d{3}s\b`), "0.000s"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "KEY"},
	{regexp.MustCompile(` exe=[^" ]+`), ""},
	{regexp.MustCompile(`("pid":|pid )\d+`), "${1}PID"},
	{regexp.MustCompile(`(\S)   +`), "$1  "}, // columns are as wide as what was masked
}

// mask prints what the last command printed, without what changes from run to run.
func mask(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: mask")
	}
	text := ts.ReadFile("stdout")
	text = strings.ReplaceAll(text, ts.Getenv("DIR"), "DIR")
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "WORK")
	for _, word := range []string{"uid ", "uid="} {
		text = strings.ReplaceAll(text, word+ts.Getenv("UID"), word+"UID")
	}
	for _, m := range masks {
		text = m.what.ReplaceAllString(text, m.with)
	}
	_, err := ts.Stdout().Write([]byte(text))
	ts.Check(err)
}

// nonce sends the canary whose key the last command printed as JSON, as its cron line would: nonce SOCKET
func nonce(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: nonce socket")
	}
	var key struct{ Source, Jail, Key, App, Line string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &key))
	head := fmt.Sprintf("stockade-canary.%s.%s.300.%d", key.Source, key.Jail, time.Now().UnixMilli())
	sum := sha256.Sum256([]byte(key.Key + " " + head + " " + key.Key))
	word := head + "." + hex.EncodeToString(sum[:])[:32]
	say(ts, false, []string{args[0], key.App, strings.Replace(key.Line, "CANARY", word, 1)})
}

// onTerminal runs a command on a terminal of its own, types and prints what it drew: terminal CODE KEYS PATTERN COMMAND [ARG…]
// The keys are typed when what is drawn matches.
func onTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: terminal code keys pattern command [arg…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	pattern := regexp.MustCompile(args[2])
	master, slave, err := terminalPair()
	ts.Check(err)
	defer func() { _ = master.Close() }()
	var screen seen
	read := make(chan struct{})
	go func() {
		defer close(read)
		screen.follow(master)
	}()
	program := args[3]
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if p := filepath.Join(dir, args[3]); exists(p) {
			program = p
			break
		}
	}
	cmd := exec.Command(program, args[4:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "TZ=UTC", "GORACE=atexit_sleep_ms=0", "PATH="+ts.Getenv("PATH"))
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, &stderr
	ts.Check(cmd.Start())
	_ = slave.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	limit := time.After(30 * time.Second)
	typed := false
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-limit:
			_ = cmd.Process.Kill()
			<-ended
			ts.Fatalf("it does not end; drawn:\n%s", screen.all())
		case <-time.After(10 * time.Millisecond):
			if !typed && pattern.MatchString(screen.all()) {
				typed = true
				_, err := master.WriteString(args[1])
				ts.Check(err)
			}
		}
	}
	<-read // the program's end of the terminal is closed
	_, err = ts.Stdout().Write([]byte(screen.all()))
	ts.Check(err)
	_, err = ts.Stderr().Write(stderr.Bytes())
	ts.Check(err)
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit code %d, want %d: %s", got, want, stderr.String())
	}
}
