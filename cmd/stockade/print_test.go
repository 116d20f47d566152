package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/control/controltest"
)

func TestTableTooWideForATerminalBecomesBlocks(t *testing.T) {
	rows := table{
		{"ADDRESS", "JAIL", "REASON"},
		{"2001:db8:1234:5678::/64", strings.Repeat("long-name-", 6), strings.Repeat("5 failures within 10m ", 5) + strings.Repeat("x", 90)},
		{"192.0.2.7", "sshd", "-"},
	}
	var out strings.Builder
	if err := rows.blocks(&out, 80); err != nil {
		t.Fatal(err)
	}
	want := "ADDRESS  2001:db8:1234:5678::/64\n" +
		"JAIL     " + strings.Repeat("long-name-", 6) + "\n" +
		"REASON   5 failures within 10m 5 failures within 10m 5 failures within 10m 5\n" +
		"         failures within 10m 5 failures within 10m\n" +
		"         " + strings.Repeat("x", 71) + "\n" +
		"         " + strings.Repeat("x", 19) + "\n" +
		"\n" +
		"ADDRESS  192.0.2.7\nJAIL     sshd\nREASON   -\n"
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if w := rows[:1].width(); w != len("ADDRESS  JAIL  REASON") {
		t.Errorf("width %d", w)
	}
}

// TestListsFitATerminalOf80Columns shows every list on a terminal, with long names and addresses.
func TestListsFitATerminalOf80Columns(t *testing.T) {
	fake, socket, err := startFake(t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	fake.Degrade(control.Degraded{Name: "silent", Cause: "a cause", Since: controltest.Now})
	end := controltest.Now.Add(time.Hour)
	fake.Add(control.Ban{Address: netip.MustParsePrefix("2001:db8:1234:5678::/64"), Jail: "sshd", Source: control.Text(strings.Repeat("a-source-", 7)),
		Trust: "kernel", Start: controltest.Now, End: &end, Reason: control.Text(strings.Repeat("a reason ", 20)), Failures: 5, Count: 1, Enforced: true})
	for _, args := range [][]string{
		{"bans"}, {"jails"}, {"sources"}, {"explain", "2001:db8:1234:5678::1"}, {"explain", "198.51.100.9"}, {"explain", "198.51.100.21"},
		{"shadow"}, {"canary"}, {"status"}, {"status", "sshd"}, {"log"}, {"ping"},
	} {
		master, slave := openPTY(t)
		if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
			t.Fatal(err)
		}
		var screen seen
		go screen.follow(master)
		var errs strings.Builder
		if code := run(append(args, "--socket", socket), strings.NewReader(""), slave, &errs); code > 1 || errs.String() != "" {
			t.Fatalf("%v: exit %d, %s", args, code, errs.String())
		}
		if _, err := slave.WriteString("\nEND\n"); err != nil {
			t.Fatal(err)
		}
		for begin := time.Now(); !screen.has("END"); time.Sleep(5 * time.Millisecond) {
			if time.Since(begin) > 60*time.Second {
				t.Fatalf("%v: nothing on the terminal", args)
			}
		}
		screen.mu.Lock()
		text := screen.text.String()
		screen.mu.Unlock()
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\r\n")
			sentence := strings.Contains(line, " is ") || strings.HasPrefix(line, "note: ") || strings.Contains(line, "list:\t")
			if n := utf8.RuneCountInString(line); n > 80 && !sentence { // a terminal breaks sentences by itself
				t.Errorf("%v: %d columns: %s", args, n, line)
			}
		}
	}
}
