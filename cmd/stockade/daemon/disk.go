package daemon

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// spareRoom is what the disk must have beside room for one more copy of the state, in bytes.
	spareRoom = 64 << 10
	// diskEvery is how often the files of the state are looked at while the disk's room is the same.
	diskEvery = 10 * time.Second
)

// disk is what the last look at the folder of the state found. It belongs to one goroutine.
type disk struct {
	dir  string
	free int64     // bytes
	at   time.Time // when the files were looked at
	need int64     // bytes: what the next snapshot may take
}

// look reports when the next snapshot may not fit: it is about as large as all that is there. The
// files can only have grown where the room has changed.
func (d *disk) look(now time.Time, dir string, add adder) {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return // the store reports what it cannot do
	}
	free := int64(fs.Bavail) * fs.Bsize
	if os.Geteuid() == 0 {
		free = int64(fs.Bfree) * fs.Bsize
	}
	if age := now.Sub(d.at); dir != d.dir || free != d.free || age < 0 || age >= diskEvery {
		need, err := stateSize(dir)
		if err != nil {
			return
		}
		*d = disk{dir, free, now, need + spareRoom}
	}
	if d.free < d.need {
		add("disk", "", "%s has %d KiB left and the next snapshot may need %d: bans that are not saved do not survive a restart", dir, d.free>>10, d.need>>10)
	}
}

// stateSize is how many bytes the files of a folder have.
func stateSize(dir string) (size int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
	}
	return size, nil
}
