package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Folders are where a daemon keeps its files unless the configuration says otherwise.
type Folders struct {
	Run     string // sockets: /run/stockade, $XDG_RUNTIME_DIR/stockade, or inside Private
	State   string // /var/lib/stockade, $XDG_STATE_HOME/stockade, or inside Private
	Private string // the 0700 folder under the temporary folder that the two need; empty: none
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

// Create makes the folders that are missing: Private and State with mode 0700, Run with 0755.
// It fails when the private folder belongs to someone else.
func (f Folders) Create(uid int) error {
	if f.Private != "" {
		if err := os.Mkdir(f.Private, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("private folder: %w", err)
		}
		if err := f.check(uid); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(f.State, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := os.MkdirAll(f.Run, 0o755); err != nil {
		return fmt.Errorf("runtime folder: %w", err)
	}
	return nil
}
