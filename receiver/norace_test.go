//go:build !race

package receiver

const slow = false
