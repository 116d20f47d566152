package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

func TestLogSwitchesWhileInUse(t *testing.T) {
	var stderr logText
	l, err := newLogs(&stderr, config.LogConfig{Level: "info", Format: "auto", Target: "stderr"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log := l.logger().With("component", "x").WithGroup("g")
	log.Debug("hidden")
	log.Info("one", "k", 1)
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	st, err := l.change(control.LogRequest{Level: "debug", Target: file}, []string{dir})
	if err != nil || st != (control.LogState{Level: "debug", Format: "json", Target: file}) {
		t.Fatalf("change = %+v, %v", st, err)
	}
	log.Debug("two", "k", 2)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	log.Info("three")
	if _, err := l.change(control.LogRequest{Target: file}, nil); err != nil { // the same again: as after a rotation
		t.Fatal(err)
	}
	log.Info("four")
	for path, want := range map[string]string{file + ".1": "two three", file: "four"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(text)) {
			var r struct {
				Msg, Component string
				G              map[string]int
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil || r.Component != "x" {
				t.Errorf("%q: %v", line, err)
			}
			got = append(got, r.Msg)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s has %v, want %s", filepath.Base(path), got, want)
		}
	}
	if got := stderr.String(); strings.Contains(got, "hidden") || !strings.Contains(got, `"g":{"k":1}`) || strings.Contains(got, "two") {
		t.Errorf("stderr has %s", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("the file's mode: %v, %v", info.Mode(), err)
	}
}

func TestLogTargetsThatAreRefused(t *testing.T) {
	var stderr logText
	l, err := newLogs(&stderr, config.LogConfig{Level: "info", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link, pipe := filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/etc/x", "relative", dir + "/../x", dir + "/none/x", link, pipe, dir} {
		if _, err := l.change(control.LogRequest{Level: "debug", Target: target}, []string{dir}); err == nil {
			t.Errorf("%s was opened", target)
		}
	}
	if st := l.now(); st != (control.LogState{Level: "info", Format: "json", Target: "stderr"}) {
		t.Errorf("a refused change left %+v", st)
	}
	if err := l.set(config.LogConfig{Level: "debug", Format: "text", Target: dir + "/none/x"}); err == nil || l.now().Level != "info" {
		t.Errorf("set = %v, %+v", err, l.now())
	}
}

func TestLogIsLimitedByMessage(t *testing.T) {
	var lim limiter
	now := time.Unix(1_000_000, 0)
	taken := 0
	for range 3 * logBurst {
		if lim.allow("ban", now) {
			taken++
		}
	}
	if taken != logBurst || !lim.allow("stop", now) {
		t.Errorf("%d of one message at once, want %d, and another is free", taken, logBurst)
	}
	if out := lim.take(); len(out) != 1 || out["ban"] != 2*logBurst || len(lim.take()) != 0 {
		t.Errorf("left out: %v", out)
	}
	if !lim.allow("ban", now.Add(time.Second)) {
		t.Error("nothing is logged a second later")
	}
}

// TestHostileTextIsNeverRaw logs what a terminal would act on, in every place of a record.
func TestHostileTextIsNeverRaw(t *testing.T) {
	var all strings.Builder
	for r := range rune(0x300) {
		all.WriteRune(r)
	}
	hostile := "\x1b[2J\n{\"level\":\"ERROR\"}\u009b31m \u202e \u2028 \U000e0001 \x7f \xff\xfe end" + all.String()
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		l, err := newLogs(&out, config.LogConfig{Level: "info", Format: format})
		if err != nil {
			t.Fatal(err)
		}
		l.logger().With("with", hostile).WithGroup("group").Warn(hostile, "sample", hostile, hostile, 1) //nolint:sloglint // net/http puts text of peers into its messages
		text := out.String()
		if line, rest, _ := strings.Cut(text, "\n"); rest != "" || !utf8.ValidString(line) ||
			strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%s: %q", format, text)
		}
		if format == "text" {
			continue
		}
		var record struct{ Msg, With string }
		if err := json.Unmarshal(out.Bytes(), &record); err != nil || record.Msg != strings.ToValidUTF8(hostile, "\ufffd\ufffd") || record.With != record.Msg {
			t.Errorf("%v: %q", err, record.Msg)
		}
	}
}

func TestJournalPriorities(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	l, err := newLogs(f, config.LogConfig{Level: "debug", Format: "text"})
	if err != nil {
		t.Fatal(err)
	}
	log := l.logger().With("k", "v\n<0>x")
	log.Debug("a")
	log.Info("b")
	log.Warn("c")
	log.Log(t.Context(), slog.LevelError, "d")
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, want := range []string{"<7>", "<6>", "<4>", "<3>"} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want+"time=") || !strings.Contains(lines[i], `k="v\n<0>x"`) {
			t.Fatalf("lines: %q", lines)
		}
	}
	t.Setenv("JOURNAL_STREAM", "1:1")
	if isJournal(f, os.Getenv("JOURNAL_STREAM")) {
		t.Error("another stream is taken for the journal")
	}
	var plain bytes.Buffer
	other, err := newLogs(&plain, config.LogConfig{Level: "info", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	other.logger().Info("e")
	if !strings.HasPrefix(plain.String(), "{") {
		t.Errorf("not the journal: %q", plain.String())
	}
}

// TestLogSectionIsReloaded changes log in the configuration of a running daemon.
func TestLogSectionIsReloaded(t *testing.T) {
	s := serve(t, configText(3, true))
	s.write(configText(3, true) + "\nlog: {level: debug, target: %DIR%/log}\n")
	if _, err := s.Reload(t.Context(), control.ReloadRequest{}); err != nil {
		t.Fatal(err)
	}
	st, err := s.Log(t.Context())
	if err != nil || st.Level != "debug" || st.Target != filepath.Join(s.dir, "log") {
		t.Fatalf("log = %+v, %v", st, err)
	}
	if st, err = s.SetLog(t.Context(), control.LogRequest{Level: "warn", Target: filepath.Join(s.dir, "state", "log")}); err != nil || st.Level != "warn" {
		t.Fatalf("log = %+v, %v", st, err)
	}
	s.write(configText(3, true) + "\nlog: {level: debug, target: %DIR%/none/log}\n")
	if _, err := s.Reload(t.Context(), control.ReloadRequest{}); err == nil {
		t.Fatal("a log that cannot be opened is in force")
	}
	if text, err := os.ReadFile(filepath.Join(s.dir, "log")); err != nil || !strings.Contains(string(text), `"msg":"reloaded"`) {
		t.Errorf("the file has %s, %v", text, err)
	}
	s.failures(s.connect(), "198.18.0.1", 1) // the inputs are open again
}

// TestMessagesThatNameAPeerAreBounded: what net/http says of failed handshakes is another message each.
func TestMessagesThatNameAPeerAreBounded(t *testing.T) {
	var lim limiter
	now := time.Now()
	logged := 0
	for i := range 100_000 {
		if lim.allow(fmt.Sprintf("http: TLS handshake error from 192.0.2.1:%d: EOF", i), now) {
			logged++
		}
	}
	if len(lim.by) > maxMessages+1 {
		t.Errorf("%d messages are remembered, want at most %d", len(lim.by), maxMessages+1)
	}
	if want := maxMessages + logBurst; logged != want {
		t.Errorf("%d were logged, want %d", logged, want)
	}
	if left := lim.take(); len(left) != 1 || left["other messages"] != int64(100_000-logged) {
		t.Errorf("left out: %v", left)
	}
}
