//go:build !linux

package pipeline

// inMemory reports whether the files of a folder are in memory alone, which only Linux is asked.
func inMemory(string) bool { return false }
