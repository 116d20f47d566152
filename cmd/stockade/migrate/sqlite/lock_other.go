//go:build !linux

package sqlite

import (
	"errors"
	"os"
	"time"
)

// lock has no locks of open files to take here, and so never reads beside a writer.
func lock(*os.File, time.Duration) error {
	return errors.New("databases are only read on Linux")
}
