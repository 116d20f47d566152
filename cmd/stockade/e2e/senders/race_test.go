//go:build race

package senders

const raceDetector = true // it allocates
