//go:build race

package receiver

// slow says that the race detector makes everything about ten times slower.
const slow = true
