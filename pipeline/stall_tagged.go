//go:build stockade_faults

package pipeline

import "bytes"

// stall hangs for good on a line that asks for it, as a worker in a deadlock does. Only the tests of
// the watchdog build with the tag.
func stall(text []byte) {
	if bytes.Contains(text, []byte("stockade_stall")) {
		select {}
	}
}
