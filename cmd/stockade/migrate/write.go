package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"stockade/receiver/statefile"
)

// FileName is what the file of a migration is called in conf.d.
const FileName = "50-fail2ban.yaml"

// Write puts the translation into the folder, as FileName, in one step: the file is there whole or as
// it was. A file that holds something else is left alone unless replace is true. Report.State says
// what happened. A missing folder is made, and goes again when the file cannot be written.
func (r *Result) Write(folder string, replace bool) error {
	path := filepath.Join(folder, FileName)
	r.Report.File = path
	old, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(old, r.Text):
		r.Report.State = StateUnchanged
		return nil
	case err == nil && !replace:
		r.Report.State = StateDiffers
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	made, err := makeFolder(folder)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if r.Secret {
		mode = 0o600
	}
	if err := statefile.Replace(path, r.Text, mode); err != nil {
		if made != "" {
			_ = os.RemoveAll(made) // holds nothing: it was made above
		}
		return fmt.Errorf("nothing was written: %w", err)
	}
	r.Report.State = StateWritten
	return nil
}

// makeFolder makes a folder and returns the topmost one that was missing.
func makeFolder(folder string) (made string, err error) {
	for p := filepath.Clean(folder); ; p = filepath.Dir(p) {
		if _, err := os.Lstat(p); err == nil || p == filepath.Dir(p) {
			break
		}
		made = p
	}
	return made, os.MkdirAll(folder, 0o755) //nolint:gosec // as /etc/stockade is
}
