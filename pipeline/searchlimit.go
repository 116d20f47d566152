//go:build !stockade_faults

package pipeline

// searchLimit is how many bans there may be for elements that are not ours to be looked for at start
// by listing the sets: that costs the kernel time that grows with its square. With more bans only
// those are taken out that this daemon noted itself; see ahead.
const searchLimit = 1 << 16
