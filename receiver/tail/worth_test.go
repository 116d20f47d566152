package tail

import (
	"os"
	"path/filepath"
	"testing"

	"stockade/receiver"
	"stockade/receiver/receivertest"
)

func TestWhatAFileIsWorth(t *testing.T) {
	receivertest.Need(t, os.Geteuid() == 0, "root to give files away")
	top, err := os.MkdirTemp("/var/tmp", "worth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	for _, x := range []struct {
		name          string
		dirMode, mode os.FileMode
		dirUID, uid   int
		dirGID, gid   int
		level         receiver.Level
		writer        int64
	}{
		{"root alone", 0o755, 0o644, 0, 0, 0, 0, receiver.LevelKernel, 0},
		{"a group that may read", 0o750, 0o640, 0, 0, 4, 4, receiver.LevelKernel, 0},
		{"the daemon's user", 0o755, 0o640, 0, 33, 4, 4, receiver.LevelAddress, 33},
		{"the folder's owner", 0o755, 0o640, 33, 0, 0, 0, receiver.LevelAddress, 33},
		{"one user twice", 0o755, 0o640, 33, 33, 0, 0, receiver.LevelAddress, 33},
		{"two users", 0o755, 0o640, 33, 34, 0, 0, receiver.LevelAddress, -1},
		{"a group that may write", 0o755, 0o660, 0, 0, 0, 4, receiver.LevelAddress, -1},
		{"a group that may write the folder", 0o775, 0o644, 0, 0, 4, 0, receiver.LevelAddress, -1},
		{"a user and everybody", 0o755, 0o666, 0, 33, 0, 0, receiver.LevelSpoofable, -1},
		{"everybody, the folder", 0o777, 0o644, 0, 0, 0, 0, receiver.LevelSpoofable, -1},
		{"everybody, a sticky folder", 0o777 | os.ModeSticky, 0o644, 0, 0, 0, 0, receiver.LevelKernel, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir, err := os.MkdirTemp(top, "d")
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "log")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{
				os.Chown(top, 0, 0), os.Chmod(top, 0o755),
				os.Chown(path, x.uid, x.gid), os.Chmod(path, x.mode), os.Chown(dir, x.dirUID, x.dirGID), os.Chmod(dir, x.dirMode),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			w, err := Judge(path)
			if err != nil {
				t.Fatal(err)
			}
			if w.Level != x.level || w.UID != x.writer || w.Why == "" {
				t.Errorf("%+v", w)
			}
		})
	}
}
