package child

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// dropAmbient takes from this thread what a program that it starts would inherit: the service's own
// capabilities (capabilities(7), ambient set).
func dropAmbient() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("drop the ambient capabilities: %w", err)
	}
	return nil
}
