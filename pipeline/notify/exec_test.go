package notify

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// own is the user of the test, who may run a program of the test's own folder.
func own() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return ""
}

// recorder builds a program that writes its arguments and environment to a file, and returns both paths.
func recorder(t *testing.T) (program, out string) {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	out = filepath.Join(dir, "out")
	text := `package main
import ("fmt"; "os")
func main() {
	f, _ := os.OpenFile(` + "`" + out + "`" + `, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	fmt.Fprintf(f, "%q %q\n", os.Args[1:], os.Environ())
}
`
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "recorder")
	if text, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return program, out
}

func TestHostileValuesRunNothing(t *testing.T) {
	program, out := recorder(t)
	p, err := newProgram(&Config{Command: []string{program, "--jail=${jail}", "${address}", "; touch pwned"}, User: own()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range hostile {
		if err := p.send(t.Context(), single(i)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != len(hostile) {
		t.Fatalf("%d runs, want %d", len(lines), len(hostile))
	}
	for i, line := range lines {
		if want := `["--jail=sshd" "` + addressText(ban(i).Prefix) + `" "; touch pwned"] [`; !strings.HasPrefix(line, want) {
			t.Errorf("ran with %s, want %s", line, want)
		}
		for _, has := range []string{`"STOCKADE_EVENT_EVENT=ban"`, `"STOCKADE_EVENT_BANTIME=3600"`, `"STOCKADE_EVENT_REASON=`} {
			if !strings.Contains(line, has) {
				t.Errorf("%s has no %s", line, has)
			}
		}
		if strings.Contains(line, "HOME=") || len(line) > 16<<10 {
			t.Errorf("environment %s", line)
		}
	}
	if found, err := filepath.Glob(filepath.Join(filepath.Dir(program), "pwned*")); err != nil || len(found) > 0 {
		t.Errorf("a value was run: %v %v", found, err)
	}
	for _, f := range single(2).fields() {
		if f.ours && strings.HasPrefix(f.value, "-") && !f.number {
			t.Errorf("%s begins as an option: %q", f.name, f.value)
		}
	}
}

func TestProgramThatHangsIsKilledWithItsChildren(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "hang")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nsleep 987 & sleep 987\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := newChannel(Config{Name: "x", Type: TypeExec, Command: []string{script}, User: own(), Timeout: 100 * time.Millisecond}, testOptions(), "gw")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := c.attempt(t.Context(), single(0), c.timeout); err == nil || !strings.Contains(err.Error(), "time") && !strings.Contains(err.Error(), "within") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestProgramsDropAndCount holds the queue of a program to its bound.
func TestProgramsDropAndCount(t *testing.T) {
	c, err := newChannel(Config{Name: "x", Type: TypeExec, Command: []string{"/bin/true"}}, testOptions(), "gw")
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxQueue + 10 {
		e := ban(i)
		c.post(&e)
	}
	if s := c.stats(); s.Waiting != maxQueue || s.Dropped != 10 {
		t.Errorf("stats %+v", s)
	}
	if first := c.take(false); first.total != 1 || first.events[0].Prefix != ban(0).Prefix {
		t.Errorf("first %+v", first)
	}
	if !slices.IsSorted(environment(single(0))) {
		t.Error("the environment is in no order")
	}
}
