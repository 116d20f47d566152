//go:build !unix

package wal

import "os"

// lock does nothing where files have no such locks.
func lock(*os.File) error { return nil }
