package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDiskCountsTheFilesOfTheState(t *testing.T) {
	dir := t.TempDir()
	said := 0
	add := func(string, string, string, ...any) { said++ }
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	var d disk
	now := time.Now()
	d.look(now, dir, add)
	if d.need != spareRoom {
		t.Errorf("an empty folder needs %d bytes, want %d", d.need, spareRoom)
	}
	if err := os.WriteFile(filepath.Join(dir, "snapshot"), make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	d.look(now.Add(diskEvery), dir, add)
	if d.need != spareRoom+1000 {
		t.Errorf("with a file of 1000 bytes it needs %d, want %d", d.need, spareRoom+1000)
	}
	if said != 0 && d.free >= d.need {
		t.Errorf("%d bytes are said to be too few for %d", d.free, d.need)
	}
	said, d.need = 0, d.free*2
	if d.look(now.Add(diskEvery), dir, add); said != 1 && d.need == d.free*2 {
		t.Errorf("%d bytes are said to do for %d", d.free, d.need)
	}
}
