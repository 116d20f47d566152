//go:build stockade_faults

package pipeline

// searchLimit is small in the build for the test that kills the daemon while it has more bans.
const searchLimit = 10
