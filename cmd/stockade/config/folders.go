package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"stockade/receiver"
)

// Folders are where a daemon keeps its files unless the configuration says otherwise. Of a
// Loaded configuration, those that it does not use are empty.
type Folders struct {
	Run     string // sockets: /run/stockade, $XDG_RUNTIME_DIR/stockade, or inside Private
	State   string // /var/lib/stockade, $XDG_STATE_HOME/stockade, or inside Private
	Private string // the 0700 folder under the temporary folder that the two need
}

// folders chooses by uid and environment. It creates nothing.
func folders(o Options) Folders {
	if o.Root {
		return Folders{Run: "/run/stockade", State: "/var/lib/stockade"}
	}
	temp := o.env("TMPDIR")
	if !filepath.IsAbs(temp) {
		temp = "/tmp"
	}
	private := filepath.Join(temp, "stockade-"+strconv.Itoa(o.UID))
	f := Folders{Run: filepath.Join(o.env("XDG_RUNTIME_DIR"), "stockade"), State: filepath.Join(o.env("XDG_STATE_HOME"), "stockade")}
	if !filepath.IsAbs(f.Run) {
		f.Run, f.Private = private, private
	}
	if !filepath.IsAbs(f.State) {
		f.State, f.Private = filepath.Join(private, "state"), private
	}
	return f
}

// used returns the folders that a configuration puts something in.
func (f Folders) used(c *Config) Folders {
	out := Folders{}
	if within(f.State, c.StateDir) {
		out.State = f.State
	}
	if within(f.Run, c.Control.Socket) ||
		slices.ContainsFunc(c.Listeners, func(l receiver.ListenerConfig) bool { return within(f.Run, l.Path) }) {
		out.Run = f.Run
	}
	if f.Private != "" && (within(f.Private, out.State) || within(f.Private, out.Run)) {
		out.Private = f.Private
	}
	return out
}

// within reports whether a path is a folder or lies in it.
func within(folder, path string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// check refuses a private folder that someone else made or can enter: under the temporary
// folder anyone may take the name first.
func (f Folders) check(uid int) error {
	if f.Private == "" {
		return nil
	}
	info, err := os.Lstat(f.Private)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("private folder: %w", err)
	case !info.IsDir():
		return fmt.Errorf("private folder %q is not a folder", f.Private)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != uid {
		return fmt.Errorf("private folder %q belongs to uid %d, not to %d; set XDG_RUNTIME_DIR and XDG_STATE_HOME", f.Private, st.Uid, uid)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("private folder %q has mode %04o; must be 0700", f.Private, info.Mode().Perm())
	}
	return nil
}

// Create makes the folders that are used and missing: Private and State with mode 0700, Run
// with 0755, and their parents with 0755.
// It fails when the private folder belongs to someone else.
func (f Folders) Create(uid int) error {
	if f.Private != "" {
		if err := makeFolder(f.Private, 0o700); err != nil {
			return fmt.Errorf("private folder: %w", err)
		}
		if err := f.check(uid); err != nil {
			return err
		}
	}
	if err := makeFolder(f.State, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := makeFolder(f.Run, 0o755); err != nil {
		return fmt.Errorf("runtime folder: %w", err)
	}
	return nil
}

// makeFolder makes a folder of that mode, whatever the umask, unless it exists or has no name.
func makeFolder(path string, mode fs.FileMode) error {
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	switch err := os.Mkdir(path, mode); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return os.Chmod(path, mode)
}
