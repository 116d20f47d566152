package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBarText(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        string
	}{
		{0, 10_000_000, "[" + strings.Repeat(" ", 30) + "]   0 % of 10.0 MB"},
		{5_000_000, 10_000_000, "[" + strings.Repeat("#", 15) + strings.Repeat(" ", 15) + "]  50 % of 10.0 MB"},
		{11_000_000, 10_000_000, "[" + strings.Repeat("#", 30) + "] 100 % of 10.0 MB"},
		{1_500_000, 0, "1.5 MB read"},
	} {
		if got := barText(c.done, c.total); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.done, c.total, got, c.want)
		}
	}
}

func TestReplayShowsABarOnATerminalAlone(t *testing.T) {
	dir := t.TempDir()
	config, log := filepath.Join(dir, "stockade.yaml"), filepath.Join(dir, "auth.log")
	for name, text := range map[string]string{
		config: "jails: [{name: sshd, filter: sshd}]\n",
		log:    "Nov 24 10:00:00 host sshd[1]: Failed password for root from 192.0.2.7 port 22 ssh2\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, plain strings.Builder
	args := []string{"--config", config, "replay", log}
	if code := run(args, strings.NewReader(""), &out, &plain); code != 0 || plain.String() != "" {
		t.Errorf("exit %d, %q: want no bar where there is no terminal", code, plain.String())
	}
	master, slave := openPTY(t)
	var screen seen
	go screen.follow(master)
	if code := run(args, strings.NewReader(""), &out, slave); code != 0 {
		t.Errorf("exit %d", code)
	}
	for begin := time.Now(); !screen.has("% of 0.0 MB"); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 60*time.Second {
			t.Fatal("no bar on the terminal")
		}
	}
}
