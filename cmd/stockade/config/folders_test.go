package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrivateFolder(t *testing.T) {
	temp := t.TempDir()
	o := write(t, nil)
	o.Root, o.UID, o.Environ = false, os.Geteuid()+1, []string{"TMPDIR=" + temp, "XDG_RUNTIME_DIR=relative"}
	if os.Geteuid() != 0 {
		o.UID = os.Geteuid()
	}
	load := func() (*Loaded, error) { return Load(o) }

	l, err := load()
	if err != nil {
		t.Fatal(err)
	}
	private := l.Folders.Private
	if filepath.Dir(private) != temp || l.Config.Control.Socket != private+"/control.sock" || l.Config.StateDir != private+"/state" {
		t.Errorf("folders %+v, config %+v", l.Folders, l.Config)
	}
	if _, err := os.Lstat(private); !os.IsNotExist(err) {
		t.Errorf("Load made %s", private)
	}

	if err := os.Symlink(temp, private); err != nil {
		t.Fatal(err)
	}
	if _, err := load(); err == nil || !strings.Contains(err.Error(), "is not a folder") {
		t.Errorf("symlink: %v", err)
	}
	if err := os.Remove(private); err != nil {
		t.Fatal(err)
	}

	if err := os.Mkdir(private, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := load(); os.Geteuid() == 0 && (err == nil || !strings.Contains(err.Error(), "belongs to uid 0")) {
		t.Errorf("folder of someone else: %v", err)
	}
	o.UID = os.Geteuid()
	mine := filepath.Join(temp, filepath.Base(folders(o).Private))
	if mine != private {
		if err := os.Rename(private, mine); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(mine, 0o750); err != nil {
		t.Fatal(err)
	}
	l, err = load()
	if err == nil || !strings.Contains(err.Error(), "has mode 0750; must be 0700") {
		t.Errorf("folder that others can enter: %v", err)
	}
	if err := l.Folders.Create(o.UID); err == nil {
		t.Error("Create used a folder that others can enter")
	}
	if err := os.Remove(mine); err != nil {
		t.Fatal(err)
	}

	for range 2 {
		if err := l.Folders.Create(o.UID); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{mine: 0o700, mine + "/state": 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	mustLoad(t, o)
}

func TestOnlyFoldersInUseAreMade(t *testing.T) {
	dir := t.TempDir()
	o := write(t, map[string]string{"": "state_dir: /elsewhere\ncontrol: {socket: /elsewhere/c.sock}"})
	o.File, o.Root, o.UID, o.Environ = o.defaultFile, false, os.Geteuid(), []string{"XDG_RUNTIME_DIR=" + dir + "/run", "XDG_STATE_HOME=" + dir + "/state"}
	l := mustLoad(t, o)
	if l.Folders != (Folders{}) {
		t.Errorf("folders %+v", l.Folders)
	}
	if err := l.Folders.Create(o.UID); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("made %v, %v", entries, err)
	}

	o = write(t, map[string]string{"": "listeners: [{name: a, transport: unix, path: " + dir + "/run/stockade/a.sock}]"})
	o.File, o.Root, o.UID, o.Environ = o.defaultFile, false, os.Geteuid(), []string{"XDG_RUNTIME_DIR=" + dir + "/run", "XDG_STATE_HOME=" + dir + "/state"}
	l = mustLoad(t, o)
	if err := l.Folders.Create(o.UID); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{"/run/stockade": 0o755, "/state/stockade": 0o700} {
		if info, err := os.Stat(dir + path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTheSystemsFileHasTheSystemsPathsForEveryUser(t *testing.T) {
	o := write(t, map[string]string{"": "log: {level: debug}"})
	o.Root, o.UID, o.Environ = false, 1000, []string{"XDG_RUNTIME_DIR=/run/user/1000", "XDG_STATE_HOME=/home/u"}
	if c := mustLoad(t, o).Config; c.Control.Socket != "/run/stockade/control.sock" || c.StateDir != "/var/lib/stockade" {
		t.Errorf("the default file: %q, %q", c.Control.Socket, c.StateDir)
	}
	o.File = o.defaultFile
	if c := mustLoad(t, o).Config; c.Control.Socket != "/run/user/1000/stockade/control.sock" || c.StateDir != "/home/u/stockade" {
		t.Errorf("a named file: %q, %q", c.Control.Socket, c.StateDir)
	}
}

func TestProcessOptions(t *testing.T) {
	t.Setenv("STOCKADE_LOG_LEVEL", "debug")
	o := ProcessOptions("/x")
	if o.File != "/x" || o.Root != (os.Geteuid() == 0) || o.UID != os.Geteuid() || o.env("STOCKADE_LOG_LEVEL") != "debug" || o.StrictEnv {
		t.Errorf("%+v", o)
	}
}
