//go:build !race

package senders

const raceDetector = false
