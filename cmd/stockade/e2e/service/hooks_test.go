package service

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const hooksConfig = tcpConfig + `
notify:
  - {name: hook, type: exec, command: ["%DIR%/hook", "${event}", "${address}"], user: root, events: [start, stop, ban, unban]}
`

// hookProgram appends its arguments and what it is told of the reason to a file.
const hookProgram = `#!/bin/sh
printf '%s %s %s\n' "$1" "$2" "$STOCKADE_EVENT_REASON" >>"${0%/*}/told"
`

// TestHooks runs a program at the start and the stop, at bans and at unbans: by hand, by time, and by
// time while stockade does not run.
func TestHooks(t *testing.T) {
	t.Parallel() // it waits more than it works
	d := rig.NewDaemon(t, rig.NewNS(t), hooksConfig)
	if err := os.WriteFile(filepath.Join(d.Dir, "hook"), []byte(hookProgram), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	told := func() []string {
		text, err := os.ReadFile(filepath.Join(d.Dir, "told"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
	}
	hear := func(want string) {
		t.Helper()
		rig.Eventually(t, 60*time.Second, want, func() bool { return slices.Contains(told(), want) })
	}
	d.Start()
	hear("start  ")
	d.Must("ban", "198.51.100.1", "--for", "1h", "--reason", "one")
	hear("ban 198.51.100.1 one")
	d.Must("unban", "198.51.100.1")
	hear("unban 198.51.100.1 one")
	d.Must("ban", "198.51.100.2", "--for", "1s", "--reason", "two")
	hear("ban 198.51.100.2 two")
	hear("unban 198.51.100.2 its time is over")
	d.Must("ban", "198.51.100.3", "--for", "3s", "--reason", "three")
	hear("ban 198.51.100.3 three")
	ends := time.Now().Add(4 * time.Second)
	d.Stop()
	rig.Eventually(t, 60*time.Second, "the last ban's time is over", func() bool { return time.Now().After(ends) })
	if all := told(); !slices.Contains(all, "stop  ") {
		t.Errorf("no word of the stop: %q", all)
	}
	d.Start()
	hear("unban 198.51.100.3 its time is over")
	all := told()
	slices.Sort(all)
	for i := 1; i < len(all); i++ {
		if all[i] == all[i-1] && all[i] != "start  " {
			t.Errorf("told twice: %q", all[i])
		}
	}
}
