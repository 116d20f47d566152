//go:build !stockade_faults

package pipeline

// stall is where a test build lets a worker hang; here it does nothing.
func stall([]byte) {}
