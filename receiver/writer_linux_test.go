package receiver

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWriters(t *testing.T) {
	root := t.TempDir()
	process := func(pid, exe, comm, cgroup string) {
		t.Helper()
		dir := filepath.Join(root, pid)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if exe != "" {
			if err := os.Symlink(exe, filepath.Join(dir, "exe")); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range map[string]string{"comm": comm + "\n", "cgroup": cgroup} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	process("10", "/usr/sbin/sshd (deleted)", "sshd", "0::/system.slice/ssh.service\n")
	process("11", "/usr/sbin/rsyslogd", "rsyslogd", "0::/system.slice/rsyslog.service\n")
	process("12", "", "rsyslogd", "0::/\n")
	process("14", "", "sshd (a) b", "0::/\n")
	process("13", "/opt/own/relay", "relay", "0::/system.slice/docker.service\n")
	now := time.Unix(1, 0)
	w := &Writers{known: make(map[int64]*writer), root: root}
	for _, tt := range []struct {
		name string
		peer Peer
		want Origin
	}{
		{"a daemon", Peer{Level: LevelKernel, PID: 10}, Origin{Known: true, Exe: "/usr/sbin/sshd", Unit: "ssh.service"}},
		{"a carrier by its program", Peer{Level: LevelKernel, PID: 11}, Origin{}},
		{"a carrier whose program may not be read", Peer{Level: LevelKernel, PID: 12}, Origin{}},
		{"a carrier by its unit", Peer{Level: LevelKernel, PID: 13}, Origin{}},
		{"a process that has ended", Peer{Level: LevelKernel, PID: 14}, Origin{Known: true, Name: "sshd (a) b"}},
		{"a process that is gone", Peer{Level: LevelKernel, UID: 1000, PID: 99}, Origin{Known: true, UID: 1000}},
		{"a network peer", Peer{Level: LevelAddress}, Origin{}},
		{"a message without credentials", Peer{Level: LevelKernel, UID: -1}, Origin{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.Origin(&tt.peer, now); got != tt.want {
				t.Errorf("origin = %+v, want %+v", got, tt.want)
			}
		})
	}
	peer := Peer{Level: LevelKernel, PID: 10}
	if got := testing.AllocsPerRun(100, func() { w.Origin(&peer, now) }); got != 0 {
		t.Errorf("%v allocations for a known process", got)
	}
	if err := os.RemoveAll(filepath.Join(root, "10")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * writerKept)
	if got := w.Origin(&peer, now); got.Exe != "" {
		t.Errorf("a process that is gone is still %q", got.Exe)
	}
}
