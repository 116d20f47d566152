package pipeline

import "golang.org/x/sys/unix"

// inMemory reports whether the files of a folder are in memory alone: no write waits for a disk, and
// they go with a reboot.
func inMemory(dir string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return false
	}
	return fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC
}
